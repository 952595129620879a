//! An execution client as a black box: started from a command line, spoken to over HTTP. Nothing
//! here knows which client it is.

pub mod genesis;
pub mod http;
pub mod keys;
pub mod process;
