//! What an item weighs: the bytes that the memory budget is charged for it.
//!
//! A type that says nothing does not compile as an item: a silent default would make the budget a lie. Either it
//! implements [`Weigh`], or its stage is given a function with `.weigh(…)`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// An item's weight in bytes, heap included.
///
/// ```
/// use quipu_flow::Weigh;
/// struct Page { text: String, number: u32 }
/// impl Weigh for Page {
///     fn heap_bytes(&self) -> usize { self.text.heap_bytes() }
/// }
/// let page = Page { text: "a knot".into(), number: 1 };
/// assert_eq!(page.weight(), size_of::<Page>() + page.text.capacity());
/// assert_eq!(page.number, 1);
/// ```
///
/// A type that says neither is refused:
/// ```compile_fail,E0277
/// struct Page(String);
/// let flow = quipu_flow::Flow::from_iter([Page("a knot".into())]).map(|page| page.0);
/// ```
#[diagnostic::on_unimplemented(
    message = "the engine does not know how many bytes a `{Self}` takes",
    note = "implement `quipu_flow::Weigh` for it, or say `.weigh(|item| bytes)` after the stage that makes it"
)]
pub trait Weigh {
    /// The bytes that this value owns outside itself.
    fn heap_bytes(&self) -> usize;

    /// All its bytes: its own and those outside it.
    fn weight(&self) -> usize {
        size_of_val(self) + self.heap_bytes()
    }
}

macro_rules! weigh_flat {
    ($($plain:ty),* $(,)?) => { $(impl Weigh for $plain {
        fn heap_bytes(&self) -> usize { 0 }
    })* };
}
weigh_flat!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    str,
    std::time::Duration,
    std::time::Instant,
    std::time::SystemTime,
    std::path::Path,
    std::net::IpAddr,
    std::net::SocketAddr,
);

impl<T: ?Sized> Weigh for &'static T {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Weigh for String {
    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

impl Weigh for std::path::PathBuf {
    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

impl Weigh for std::ffi::OsString {
    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

impl<T: Weigh> Weigh for [T] {
    fn heap_bytes(&self) -> usize {
        self.iter().map(Weigh::heap_bytes).sum()
    }
}

impl<T: Weigh, const N: usize> Weigh for [T; N] {
    fn heap_bytes(&self) -> usize {
        self.as_slice().heap_bytes()
    }
}

impl<T: Weigh> Weigh for Vec<T> {
    fn heap_bytes(&self) -> usize {
        self.capacity() * size_of::<T>() + self.as_slice().heap_bytes()
    }
}

impl<T: Weigh> Weigh for VecDeque<T> {
    fn heap_bytes(&self) -> usize {
        self.capacity() * size_of::<T>() + self.iter().map(Weigh::heap_bytes).sum::<usize>()
    }
}

impl<T: Weigh> Weigh for Option<T> {
    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or(0, Weigh::heap_bytes)
    }
}

impl<T: Weigh, E: Weigh> Weigh for Result<T, E> {
    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or_else(Weigh::heap_bytes, Weigh::heap_bytes)
    }
}

impl<T: Weigh + ?Sized> Weigh for Box<T> {
    fn heap_bytes(&self) -> usize {
        (**self).weight()
    }
}

/// Counted in full for each handle: shared bytes are charged to every item that keeps them alive.
impl<T: Weigh + ?Sized> Weigh for Arc<T> {
    fn heap_bytes(&self) -> usize {
        (**self).weight() + 2 * size_of::<usize>()
    }
}

impl<T: Weigh + ToOwned + ?Sized + 'static> Weigh for std::borrow::Cow<'static, T>
where
    T::Owned: Weigh,
{
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Borrowed(_) => 0,
            Self::Owned(owned) => owned.heap_bytes(),
        }
    }
}

impl<T: Weigh> Weigh for std::ops::Range<T> {
    fn heap_bytes(&self) -> usize {
        self.start.heap_bytes() + self.end.heap_bytes()
    }
}

impl<K: Weigh, V: Weigh, S> Weigh for HashMap<K, V, S> {
    fn heap_bytes(&self) -> usize {
        // One control byte an entry beside the pair itself.
        let table = self.capacity() * (size_of::<(K, V)>() + 1);
        table + self.iter().map(|(key, value)| key.heap_bytes() + value.heap_bytes()).sum::<usize>()
    }
}

impl<K: Weigh, S> Weigh for HashSet<K, S> {
    fn heap_bytes(&self) -> usize {
        self.capacity() * (size_of::<K>() + 1) + self.iter().map(Weigh::heap_bytes).sum::<usize>()
    }
}

impl<K: Weigh, V: Weigh> Weigh for BTreeMap<K, V> {
    fn heap_bytes(&self) -> usize {
        self.iter().map(|(key, value)| key.weight() + value.weight()).sum()
    }
}

impl<K: Weigh> Weigh for BTreeSet<K> {
    fn heap_bytes(&self) -> usize {
        self.iter().map(Weigh::weight).sum()
    }
}

macro_rules! weigh_tuple {
    ($($name:ident)+) => { impl<$($name: Weigh),+> Weigh for ($($name,)+) {
        #[allow(non_snake_case)]
        fn heap_bytes(&self) -> usize {
            let ($($name,)+) = self;
            0 $(+ $name.heap_bytes())+
        }
    } };
}
weigh_tuple!(A);
weigh_tuple!(A B);
weigh_tuple!(A B C);
weigh_tuple!(A B C D);
weigh_tuple!(A B C D E);
weigh_tuple!(A B C D E F);

/// How the open end of a flow is weighed: by its type, or by a function given for it.
pub trait Weighing<T>: sealed::Sealed + Clone + Send {
    #[doc(hidden)]
    fn weigher(self) -> Arc<dyn Fn(&T) -> usize + Send + Sync>;
}

/// Items are weighed by their own [`Weigh`].
#[derive(Clone, Copy, Debug)]
pub struct ByType;

/// Items are weighed by the function given with `.weigh(…)`, or as the sum of a batch's members.
pub struct ByFunction<T>(pub(crate) Arc<dyn Fn(&T) -> usize + Send + Sync>);

impl<T> Clone for ByFunction<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> std::fmt::Debug for ByFunction<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByFunction")
    }
}

impl<T: Weigh + 'static> Weighing<T> for ByType {
    fn weigher(self) -> Arc<dyn Fn(&T) -> usize + Send + Sync> {
        Arc::new(T::weight)
    }
}

impl<T> Weighing<T> for ByFunction<T> {
    fn weigher(self) -> Arc<dyn Fn(&T) -> usize + Send + Sync> {
        self.0
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ByType {}
    impl<T> Sealed for super::ByFunction<T> {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_counts_not_length() {
        assert_eq!(String::with_capacity(100).heap_bytes(), 100);
        assert_eq!(Vec::<u64>::with_capacity(4).weight(), size_of::<Vec<u64>>() + 32);
    }

    #[test]
    fn nested_heaps_add_up() {
        let nested = vec![String::with_capacity(10), String::with_capacity(20)];
        assert_eq!(nested.heap_bytes(), 2 * size_of::<String>() + 30);
        assert_eq!(Box::new(7u64).heap_bytes(), 8);
        assert_eq!((String::with_capacity(3), Some(vec![1u8; 5])).heap_bytes(), 8);
    }
}
