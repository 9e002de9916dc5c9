//! Texts in memory that several clients read: made once, and freed when the last of them has left.

use slab::Slab;

use std::borrow::Cow;

/// All texts that somebody reads.
#[derive(Default)]
pub struct Texts {
    texts: Slab<Text>,
    /// What they take of the heap.
    held_bytes: usize,
}

/// Which text; small, since each client has room for one. It means nothing once its last reader has
/// left: the next text may be given the same.
pub type TextKey = u32;

struct Text {
    /// What is compiled in costs nothing.
    bytes: Cow<'static, [u8]>,
    readers: usize,
}

impl Texts {
    /// Takes a text in. It has no reader yet, and stays until it has had one.
    pub fn add(&mut self, bytes: impl Into<Cow<'static, [u8]>>) -> TextKey {
        let text = Text {
            bytes: bytes.into(),
            readers: 0,
        };
        self.held_bytes += text.heap_bytes();
        self.texts.insert(text) as TextKey
    }

    /// One reader more.
    pub fn enter(&mut self, key: TextKey) {
        self.texts[key as usize].readers += 1;
    }

    /// One reader less; the last one frees it.
    pub fn leave(&mut self, key: TextKey) {
        let text = &mut self.texts[key as usize];
        text.readers -= 1;
        if text.readers == 0 {
            self.held_bytes -= text.heap_bytes();
            self.texts.remove(key as usize);
        }
    }

    /// The text of a reader.
    pub fn bytes(&self, key: TextKey) -> &[u8] {
        &self.texts[key as usize].bytes
    }

    /// What all of them take of the heap.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

impl Text {
    fn heap_bytes(&self) -> usize {
        match &self.bytes {
            Cow::Borrowed(_) => 0,
            Cow::Owned(bytes) => bytes.capacity(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reader_frees_it() {
        let mut texts = Texts::default();
        let key = texts.add(vec![b'x'; 1000]);
        assert_eq!(texts.held_bytes(), 1000);
        texts.enter(key);
        texts.enter(key);
        texts.leave(key);
        assert_eq!(texts.bytes(key), [b'x'; 1000]);
        let other = texts.add(b"y".to_vec());
        texts.enter(other);
        assert_ne!(other, key);
        texts.leave(key);
        assert_eq!(texts.held_bytes(), 1);
        assert_eq!(texts.bytes(other), b"y");
        texts.leave(other);
        assert_eq!((texts.held_bytes(), texts.texts.len()), (0, 0));
    }

    #[test]
    fn what_is_compiled_in_takes_nothing() {
        let mut texts = Texts::default();
        let key = texts.add(&b"a page"[..]);
        texts.enter(key);
        assert_eq!(texts.bytes(key), b"a page");
        assert_eq!(texts.held_bytes(), 0);
        texts.leave(key);
        assert_eq!(texts.held_bytes(), 0);
    }
}
