//! A machine of a lesser class, played by this one: whoever asks the processor what it can is told less.
//!
//! Each contestant, ours among them, then runs what it would run on such a machine, with this machine's clock and caches.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod x86;

use std::path::Path;

use anyhow::bail;
use serde::Serialize;

/// What is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Without {
    /// VNNI in all its forms, and what came with it or after: leaves AVX-512 as its first servers had it (F, CD, BW, DQ, VL).
    Vnni,
    /// That and all of AVX-512: leaves AVX2.
    Avx512,
}

impl Without {
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        match name {
            "vnni" => Ok(Self::Vnni),
            "avx512" => Ok(Self::Avx512),
            _ => bail!("`{name}` cannot be hidden: `vnni` and `avx512` can"),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vnni => "vnni",
            Self::Avx512 => "avx512",
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
impl Without {
    /// Hides it from this program. To be called before anything asks; fails if something has.
    pub(crate) fn hide(self) -> anyhow::Result<()> {
        x86::hide(self)
    }

    /// Hides it from a shared library that will be opened: opens it already, so that it stays where it is.
    pub(crate) fn hide_in(self, library: &Path) -> anyhow::Result<()> {
        x86::hide_in(library)
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
impl Without {
    pub(crate) fn hide(self) -> anyhow::Result<()> {
        bail!("what a processor can is hidden on x86-64 under Linux alone")
    }

    pub(crate) fn hide_in(self, _library: &Path) -> anyhow::Result<()> {
        self.hide()
    }
}
