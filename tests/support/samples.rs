//! Values that many tests use.

pub const ACCOUNT_ID: &str = "17841450000000017";
pub const TOKEN: &str = "hmat_live_0000EXAMPLE0000";
pub const USER: &str = "8123456789012345";
