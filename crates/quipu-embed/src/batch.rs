//! Cuts many token sequences into batches of a token budget. Pure: whoever has cores runs the batches.

/// Groups the indices of `lengths` into batches of at most `budget_tokens` tokens each, longest sequences first.
///
/// Each index appears exactly once. A sequence longer than the budget gets a batch of its own. The cuts decide only
/// speed: a sequence's vector does not depend on its batch. Longest first, so that on many cores the last batch to
/// finish is a short one.
///
/// ```
/// assert_eq!(quipu_embed::plan_batches(&[3, 9, 4], 8), [vec![1], vec![2, 0]]);
/// ```
pub fn plan_batches(lengths: &[usize], budget_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
    let mut batches = Vec::new();
    let mut batch: Vec<usize> = Vec::new();
    let mut tokens = 0_usize;
    for index in order {
        if !batch.is_empty() && tokens.saturating_add(lengths[index]) > budget_tokens {
            batches.push(std::mem::take(&mut batch));
            tokens = 0;
        }
        tokens = tokens.saturating_add(lengths[index]);
        batch.push(index);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::plan_batches;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_index_once_and_no_batch_above_the_budget(
            lengths in prop::collection::vec(0_usize..300, 0..200),
            budget in 0_usize..1_500,
        ) {
            let batches = plan_batches(&lengths, budget);
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for batch in &batches {
                let tokens: usize = batch.iter().map(|&index| lengths[index]).sum();
                prop_assert!(!batch.is_empty());
                prop_assert!(tokens <= budget || batch.len() == 1);
            }
        }
    }
}
