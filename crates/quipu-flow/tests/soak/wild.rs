//! Panics where they leave something half done: in the middle of children, in a state, at a split or a gather, in a
//! weight. Which items get through is not foretold; that the run ends with true counts is.

use crate::build::{Open, Site, open};
use crate::item::Item;
use crate::plan::Policy;
use quipu_flow::stage::Reduce;
use quipu_flow::{Batch, Weigh};

pub(crate) fn wild(site: &Site, flow: Open, which: u64, one_in: u64, policy: Policy) -> Open {
    let strike = move |item: &Item| {
        if item.value.is_multiple_of(one_in) {
            std::panic::panic_any("a wild panic");
        }
    };
    let through = move |item: Item| {
        strike(&item);
        item
    };
    match which {
        0 => site.own(
            flow.flat_map(move |item| {
                (0..4u64).map(move |child| {
                    if child == 2 {
                        strike(&item);
                    }
                    item.with(item.value.wrapping_add(child))
                })
            }),
            policy,
        ),
        1 => site.own(flow.scan((), move |(), item| through(item)).ordered(), policy),
        2 => site.own(flow.keyed(|item| item.value % 3, |_| (), move |(), item| through(item)), policy),
        3 => site.own(
            flow.map_batch(Batch::items(3), move |batch: Vec<Item>| {
                batch.into_iter().map(through).collect::<Vec<_>>()
            }),
            policy,
        ),
        4 => site.own(
            flow.device(
                Batch::items(2),
                || Ok::<_, String>(()),
                move |(), batch: Vec<Item>| batch.into_iter().map(through).collect::<Vec<_>>(),
            ),
            policy,
        ),
        5 => site.own(
            flow.scatter(
                move |item| {
                    let item = through(item);
                    let part = item.with(item.value + 1);
                    (item, [part.clone(), part].into_iter().map(through))
                },
                |parts| parts,
                move |item, _| through(item.with(item.value + 2)),
            ),
            policy,
        ),
        6 => site.own(
            flow.group(
                move |item| [through(item.clone()), item],
                |members| members,
                Reduce::new(Vec::new, move |all: &mut Vec<Item>, item| all.push(through(item)), |all| all),
            ),
            policy,
        ),
        _ => open(flow.map(|item| item).weigh(move |item: &Item| {
            strike(item);
            item.weight()
        })),
    }
}
