//! The page for people with a browser: three files, compiled in.

/// A text that is in the program itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    pub media_type: &'static str,
    pub bytes: &'static [u8],
}

/// What the page consists of. It asks for the other two at `/-/page.css` and `/-/page.js`.
pub static PAGE: Asset = Asset {
    media_type: "text/html; charset=utf-8",
    bytes: include_bytes!("page/index.html"),
};

/// How it looks, in light and dark.
pub static STYLE: Asset = Asset {
    media_type: "text/css; charset=utf-8",
    bytes: include_bytes!("page/page.css"),
};

/// What it does: it lists the files and follows one by events.
pub static SCRIPT: Asset = Asset {
    media_type: "text/javascript; charset=utf-8",
    bytes: include_bytes!("page/page.js"),
};

#[cfg(test)]
mod tests {
    use super::*;

    /// It comes with every first look, maybe over a thin line.
    #[test]
    fn it_is_small() {
        let bytes = [&PAGE, &STYLE, &SCRIPT].map(|asset| asset.bytes.len());
        assert!(bytes.iter().sum::<usize>() < 30_000, "{bytes:?}");
    }
}
