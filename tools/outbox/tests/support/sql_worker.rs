//! A worker in SQL, for the tests of the functions that workers call.

use std::cell::Cell;

use super::postgres::{ACCOUNT, Database};

/// The token of no message.
pub const NO_TOKEN: &str = "00000000-0000-0000-0000-000000000000";

/// A worker in SQL, statement by statement, for what the program itself cannot be made to do. Like a pooler it connects
/// for each statement.
pub struct SqlWorker<'a> {
    database: &'a Database<'a>,
    pub id: String,
    pub session: Cell<u32>,
    pub turns: Cell<u32>,
}

impl<'a> SqlWorker<'a> {
    pub fn start(database: &'a Database<'a>) -> SqlWorker<'a> {
        let id = database.psql(&format!("SELECT worker FROM outbox.hello('{ACCOUNT}', 'in SQL')"));
        SqlWorker { database, id, session: Cell::new(1), turns: Cell::new(0) }
    }

    /// Says hello once more, with these in hand, and the answers of all turns up to this one.
    pub fn hello(&self, answered: u32, in_hand: &[&InHand]) {
        self.session.set(self.session.get() + 1);
        let list = |member: fn(&InHand) -> &str| in_hand.iter().map(|one| member(one)).collect::<Vec<_>>().join(",");
        let id = self.database.psql(&format!(
            "SELECT worker FROM outbox.hello('{ACCOUNT}', 'in SQL', '{}', {}, {answered}, '{{{}}}', '{{{}}}', '{{{}}}')",
            self.id,
            self.session.get(),
            list(|one| &one.id),
            list(|one| &one.token),
            list(|one| &one.claim)
        ));
        assert_eq!(id, self.id);
    }

    pub fn turn(&self, query: &str, want: u32, reports: &str) -> Result<String, String> {
        self.turns.set(self.turns.get() + 1);
        let (session, number) = (self.session.get(), self.turns.get());
        self.database
            .try_psql(&format!("SELECT {query} FROM outbox.turn('{}', {session}, {number}, {want}{reports})", self.id))
    }

    /// Claims; returns what this query makes of the rows.
    #[track_caller]
    pub fn claim(&self, want: u32, query: &str) -> String {
        self.turn(query, want, "").expect("a turn")
    }

    #[track_caller]
    pub fn claim_one(&self) -> InHand {
        self.try_claim_one().expect("a message")
    }

    #[track_caller]
    pub fn try_claim_one(&self) -> Option<InHand> {
        let query =
            "string_agg(concat_ws('|', id, token, claim, body::json #>> '{message,text}'), '') FILTER (WHERE id > 0)";
        let row = self.claim(1, query);
        let mut row = row.splitn(4, '|').map(str::to_owned);
        let id = row.next().filter(|id| !id.is_empty())?;
        let mut next = || row.next().expect("a message");
        Some(InHand { id, token: next(), claim: next(), text: next() })
    }

    /// Returns the ids of those that could not be settled.
    #[track_caller]
    pub fn report(&self, message: &InHand, status: i32) -> String {
        let InHand { id, token, claim, .. } = message;
        let reports =
            format!(", '{{{id}}}', '{{{token}}}', '{{{claim}}}', '{{{status}}}', '{{-1}}', '{{m}}', '{{NULL}}'");
        self.turn("unsettled", 0, &reports).expect("a turn")
    }
}

/// A message that a worker in SQL has claimed.
#[derive(Clone)]
pub struct InHand {
    pub id: String,
    pub token: String,
    pub claim: String,
    pub text: String,
}
