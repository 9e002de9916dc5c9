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

    fn texts() -> [&'static str; 3] {
        [&PAGE, &STYLE, &SCRIPT].map(|asset| std::str::from_utf8(asset.bytes).expect("it is text"))
    }

    /// It comes with every first look, maybe over a thin line.
    #[test]
    fn it_is_small() {
        let bytes = texts().map(str::len);
        assert!(bytes.iter().sum::<usize>() < 30_000, "{bytes:?}");
    }

    /// Its policy lets a browser do neither, and nobody would be told.
    #[test]
    fn it_has_nothing_inline_and_nothing_from_elsewhere() {
        let [page, style, script] = texts();
        #[rustfmt::skip]
        let inline = [
            "<style", " style=", " onclick=", " onload=", "javascript:", "<base", "<form",
        ];
        for inline in inline {
            assert!(!page.contains(inline), "{inline}");
        }
        let scripts: Vec<_> = page.split("<script").skip(1).collect();
        assert_eq!(scripts.len(), 1);
        assert!(scripts[0].starts_with(" src=\"-/page.js\" defer></script>"));
        // The name of a language and an example, neither of which is fetched.
        let named = [
            "xmlns='http://www.w3.org/2000/svg'",
            "http://HOST:PORT/NAME",
        ];
        let page = named
            .iter()
            .fold(page.to_owned(), |page, named| page.replace(named, ""));
        for text in [&page, style, script] {
            for elsewhere in ["http:", "https:", "\"//", "@import", "url("] {
                assert!(!text.contains(elsewhere), "{elsewhere}");
            }
        }
    }

    /// What a line of a log says can become text, and nothing else.
    #[test]
    fn it_makes_no_markup_of_text() {
        let [_, _, script] = texts();
        #[rustfmt::skip]
        let ways = [
            "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "srcdoc",
            "createContextualFragment", "setHTML", "eval(", "Function(", "setAttribute('on",
        ];
        for way in ways {
            assert!(!script.contains(way), "{way}");
        }
    }
}
