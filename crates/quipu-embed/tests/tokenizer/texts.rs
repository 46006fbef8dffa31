//! Texts of everything that is hard to cut.

use proptest::prelude::*;

/// Marks of all classes: nonspacing, spacing, enclosing, newer than the categories' tables, decomposing into two.
const MARKS: &str = "\u{300}\u{301}\u{307}\u{316}\u{323}\u{327}\u{345}\u{344}\u{f71}\u{f73}\u{302a}\u{302e}\u{302f}\
    \u{1d165}\u{1d16d}\u{1d16e}\u{16ff0}\u{1e130}\u{1e2ec}\u{20dd}\u{93c}\u{5b0}\u{64b}\u{3099}\u{e38}\u{1d1aa}";

/// Characters that change, split or vanish in some step.
const STRANGE: &str = "İıſßẞσςΣǅǆŉΐﬁKÅéếñ가각한ᄒ\u{1161}\u{11ab}東京中豈\u{2f800}\u{2b820}\u{2b920};\u{37e}\u{1fef}\
    \u{0}\u{1}\u{7f}\u{85}\u{ad}\u{200b}\u{200d}\u{fffd}\u{feff}\u{e000}\u{10fffd}\t\n\r\u{b}\u{c} \u{a0}\u{1680}\
    \u{2000}\u{2028}\u{2029}\u{202f}\u{3000}«»“”’—…、。！¿§¶†\u{1d15e}\u{1d160}\u{9ff0}\u{1f600}\u{e0001}\u{3a2}\u{b4}";

/// What added tokens look like, and almost.
const TOKENS: &str = "[CLS]|[SEP]|[MASK]|[UNK]|[PAD]|[MASK]x|[mask]|[CLS|[[CLS]]|Quipu|quipu|<e1>|<E1>| two words|\
    naïf|naif|nai\u{308}f|東京|é-|e-|Ǆ|ǆ";

/// Words that are whole in a vocabulary, or fall apart.
const WORDS: &str = "the|Quipu|unbelievable|tokenisation|x1y2|don't|e.g.|naïve";

pub(crate) fn strange() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-dA-Dxq]{1,12}",
        3 => " {1,3}",
        2 => one_of(WORDS),
        3 => characters(STRANGE, 1..4),
        2 => characters(MARKS, 1..6),
        2 => one_of(TOKENS),
        2 => prop::collection::vec(any::<char>(), 1..4).prop_map(String::from_iter),
        1 => "[!-/:-@]{1,4}",
        1 => (prop::sample::select(vec!["a", "é", "각", "\u{302e}", "b\u{0}"]), 9..14_usize).prop_map(repeated),
        1 => (prop::sample::select(vec!["a", "q", "é", "b\u{301}"]), 95..105_usize).prop_map(repeated),
    ];
    prop::collection::vec(part, 0..10).prop_map(|parts| parts.concat())
}

fn one_of(list: &'static str) -> impl Strategy<Value = String> {
    prop::sample::select(list.split('|').collect::<Vec<_>>()).prop_map(String::from)
}

fn characters(set: &'static str, count: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let set: Vec<char> = set.chars().collect();
    prop::collection::vec(prop::sample::select(set), count).prop_map(String::from_iter)
}

fn repeated((part, times): (&str, usize)) -> String {
    part.repeat(times)
}
