//! The client that the tests start.

use std::path::Path;

/// The command line, with placeholders, of the debug binary that lies beside `program`.
pub(crate) fn banyan_beside(program: &Path) -> String {
    let banyan = program.with_file_name("banyan");
    assert!(banyan.exists(), "{} is not built: run the tests of the workspace", banyan.display());
    format!(
        "{} node --chain {{genesis}} --datadir {{datadir}} --http --http.port {{http}} \
         --authrpc.port {{auth}} --authrpc.jwtsecret {{jwt}} --port {{p2p}} --color=never",
        banyan.display()
    )
}
