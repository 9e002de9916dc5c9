//! The page in a real Chromium, beside a real server: what a person sees and does.
//!
//! ```text
//!   reading      the list, a file, live lines, pause, filter, find, wrap, links
//!   connection   rotation, restarts, gaps, hidden tabs: nothing missing, nothing twice
//!   load         20,000 lines a second, a million lines, lines of any length and kind
//!   strangers    pages of other origins, and what this one may do itself
//!   pictures     the README's, made by the last test here
//! ```

mod browser;
mod connection;
mod load;
mod pictures;
mod reading;
mod strangers;

use crate::support::Server;

use browser::Browser;

/// The page's address on this server, and what stands behind its `#`.
fn address(server: &Server, fragment: &str) -> String {
    format!("http://{}/{fragment}", server.address())
}

/// Opens one file and waits until it is live.
fn open(browser: &Browser, server: &Server, fragment: &str) {
    browser.open(&address(server, fragment));
    browser.wait_for_text("#phase", "Live");
}
