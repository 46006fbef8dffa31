//! Working memory in whole cache lines: a register that straddles two of them takes twice as long to load.
#![allow(unsafe_code)]

/// Words of four bytes in a line.
pub(crate) const LINE_WORDS: usize = 16;

#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Line([u32; LINE_WORDS]);

// SAFETY: sixteen words without padding; any bits are valid, all zeros among them.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above, and it is `Copy + 'static`.
unsafe impl bytemuck::Pod for Line {}

/// Words at an address that is a multiple of 64, seen as whatever numbers they hold.
#[derive(Default)]
pub(crate) struct Lines(Vec<Line>);

impl Lines {
    /// Zeros, room for `words`.
    pub(crate) fn zeros(words: usize) -> Self {
        Self(vec![Line::default(); words.div_ceil(LINE_WORDS)])
    }

    /// Gives it room for `words`. What it holds is unspecified; room that was taken is kept.
    pub(crate) fn fit(&mut self, words: usize) {
        self.0.resize(words.div_ceil(LINE_WORDS), Line::default());
    }

    pub(crate) fn words(&self) -> &[u32] {
        bytemuck::cast_slice(&self.0)
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }

    pub(crate) fn floats(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }

    pub(crate) fn floats_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Lines({})", self.0.len())
    }
}
