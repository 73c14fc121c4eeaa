-- Stores an order and its message in one transaction of the application: both are there, or neither is.
--
--     psql -v ON_ERROR_STOP=1 -v account=17841450000000017 -v user=8123456789012345 -v order=1001 -f enqueue_postgresql.sql
--
-- The role needs no more than: GRANT outbox_app TO shop.

CREATE TABLE IF NOT EXISTS orders (number text PRIMARY KEY, customer text NOT NULL);

BEGIN;
INSERT INTO orders VALUES (:'order', :'user');
-- The key makes a repetition harmless: a second message with it is not added, and the id of the first is returned.
SELECT outbox.enqueue_text(:'account', :'user', 'Thank you! Your order ' || :'order' || ' has arrived here.',
    key => 'order-' || :'order');
COMMIT;
