//! A part of a document under way: the chunks that are embedded together, and what came of it.
//!
//! Documents are scattered into parts of about one batch each, so that a long one is embedded on several cores and
//! holds no other up, and the parts of short ones fill a batch together.

use quipu_flow::Weigh;

use super::item::{Content, Item, Waiting};
use crate::store::{FailureKind, Vector};

/// Tokens of a part, but where one chunk alone has more.
pub(crate) const PART_TOKENS: usize = 4_096;

/// Chunks of one document that need vectors.
#[derive(Debug)]
pub(crate) struct Part(pub(crate) Vec<Waiting>);

/// What came of a part: each chunk's vector, or why there is none.
#[derive(Debug)]
pub(crate) struct Embedded(pub(crate) Result<Vec<(usize, Vector)>, (FailureKind, String)>);

impl Part {
    /// Tokens that it takes through the model.
    pub(crate) fn tokens(&self) -> usize {
        self.0.iter().map(|waiting| waiting.tokens.len()).sum()
    }
}

impl Item {
    /// The item without its waiting chunks, and these, in parts; none, where nothing waits.
    pub(crate) fn split(mut self) -> (Self, Vec<Part>) {
        let Content::Chunks(_, waiting) = &mut self.content else { return (self, Vec::new()) };
        let sizes = sizes(waiting.iter().map(|waiting| waiting.tokens.len()));
        let mut waiting = std::mem::take(waiting).into_iter();
        let parts = sizes.into_iter().map(|size| Part(waiting.by_ref().take(size).collect()));
        let parts = parts.collect();
        (self, parts)
    }

    /// The item with what came of its parts. The first that failed fails it.
    pub(crate) fn gather(mut self, parts: Vec<Embedded>) -> Self {
        for Embedded(part) in parts {
            match (part, &mut self.content) {
                (Ok(vectors), Content::Chunks(document, _)) => {
                    for (chunk, vector) in vectors {
                        document.chunks[chunk].vector = Some(vector);
                    }
                }
                (Ok(_), _) => {}
                (Err((kind, message)), _) => return self.fail(kind, &message),
            }
        }
        self
    }
}

/// How many chunks, of so many tokens each, go into each part.
fn sizes(tokens: impl Iterator<Item = usize>) -> Vec<usize> {
    let (mut sizes, mut room) = (Vec::new(), 0);
    for tokens in tokens {
        match sizes.last_mut().filter(|_| tokens <= room) {
            Some(size) => *size += 1,
            None => {
                sizes.push(1);
                room = PART_TOKENS;
            }
        }
        room = room.saturating_sub(tokens);
    }
    sizes
}

impl Weigh for Part {
    fn heap_bytes(&self) -> usize {
        let tokens: usize = self.0.iter().map(|waiting| waiting.tokens.len() * size_of::<u32>()).sum();
        self.0.capacity() * size_of::<Waiting>() + tokens
    }
}

impl Weigh for Embedded {
    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Ok(vectors) => {
                let codes: usize = vectors.iter().map(|(_, vector)| vector.codes.len()).sum();
                vectors.capacity() * size_of::<(usize, Vector)>() + codes
            }
            Err((_, message)) => message.capacity(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_up_and_a_chunk_larger_than_one_stands_alone() {
        assert_eq!(sizes([3000, 1000, 97, 5000, 1, 4095].into_iter()), [2, 1, 1, 2]);
        assert_eq!(sizes(std::iter::empty()), [0usize; 0]);
    }

    #[test]
    fn a_part_that_failed_fails_its_document() {
        let item = Item {
            path: "a".into(),
            size: 1,
            modified_ns: 0,
            content_hash: None,
            settled_hash: None,
            content: Content::Unread,
        };
        let failed = Embedded(Err((FailureKind::Embed, "too hot".to_owned())));
        let item = item.gather(vec![Embedded(Ok(Vec::new())), failed]);
        assert!(matches!(item.content, Content::Settled(_)));
    }
}
