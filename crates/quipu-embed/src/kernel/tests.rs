//! Every kernel that this machine has, against the definitions in f64.

use super::attention::{Attend, Buffers, HEAD, ROWS_BEYOND};
use super::lines::Lines;
use super::pack::{Matrix, Packed, Words};
use super::product::{Out, Product};
use super::rows::{Activated, Mean, Norm, Normalise, Prepare, PrepareActivated, Rows, Target};
use super::sample::numbers;
use super::{Kernel, PANEL};

/// Rows, inputs, outputs.
const SHAPES: [(usize, usize, usize); 7] =
    [(1, 1, 1), (5, 7, 3), (6, 16, 64), (7, 33, 65), (13, 384, 80), (8, 1_536, 16), (1, 4_096, 70)];

/// How far a kernel's product may be from the exact one, for numbers up to 1: steps of both sides as a random walk.
fn allowed(kernel: Kernel, inputs: usize) -> f64 {
    let step = match kernel.words() {
        Words::F32 => 3e-6,
        Words::Bf16 => 4e-3,
        Words::Int8 => 1.5e-2,
        Words::Int8Pairs => 4e-2,
    };
    step * (inputs as f64).sqrt().max(1.0)
}

/// Rows as wide as `packed` takes them.
fn widened(rows: &[f32], inputs: usize, width: usize) -> Vec<f32> {
    let mut wide = vec![0.0; rows.len() / inputs * width];
    for (row, wide) in rows.chunks_exact(inputs).zip(wide.chunks_exact_mut(width)) {
        wide[..inputs].copy_from_slice(row);
    }
    wide
}

fn prepared(kernel: Kernel, rows: &[f32], inputs: usize, weights: &Packed) -> Rows {
    let width = weights.groups * kernel.words().numbers();
    let mut prepared = Rows::default();
    prepared.fit(rows.len() / inputs, weights);
    let target = Target { weights, rows: &mut prepared, first: 0 };
    kernel.run(Prepare { rows: &widened(rows, inputs, width), width, target });
    prepared
}

/// The product of `rows` with weights on top of `start`.
fn product(kernel: Kernel, rows: &[f32], inputs: usize, weights: &Packed, start: f32) -> Vec<f32> {
    let count = rows.len() / inputs;
    let prepared = prepared(kernel, rows, inputs, weights);
    let mut out = vec![start; count * weights.columns];
    kernel.run(Product { rows: &prepared, first: 0, count, weights, out: Out::Add(&mut out) });
    out
}

#[test]
fn products_are_right() {
    for kernel in Kernel::available() {
        for (rows, inputs, outputs) in SHAPES {
            let input = numbers(rows * inputs, 1);
            let matrix = Matrix { numbers: numbers(outputs * inputs, 2), inputs };
            let bias = numbers(outputs, 3);
            let smoothing: Vec<f32> = numbers(inputs, 4).iter().map(|x| 1.0 + x / 2.0).collect();
            for (smoothing, start) in [(None, 0.0), (Some(&*smoothing), 0.5)] {
                let packed = Packed::new(kernel.words(), &matrix, &bias, smoothing);
                let out = product(kernel, &input, inputs, &packed, start);
                for (row, out) in out.chunks_exact(packed.columns).enumerate() {
                    for output in 0..outputs {
                        let row = &input[row * inputs..][..inputs];
                        let weights = &matrix.numbers[output * inputs..][..inputs];
                        let pairs = row.iter().zip(weights);
                        let exact: f64 = pairs.map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                        let exact = exact + f64::from(bias[output]) + f64::from(start);
                        let apart = (f64::from(out[output]) - exact).abs();
                        assert!(
                            apart <= allowed(kernel, inputs),
                            "{rows}×{inputs}×{outputs} on {}: off by {apart}",
                            kernel.name()
                        );
                    }
                    assert!(out[outputs..].iter().all(|&x| x == start), "beside the outputs");
                }
            }
        }
    }
}

#[test]
fn rows_do_not_depend_on_their_neighbours() {
    for kernel in Kernel::available() {
        let (inputs, outputs) = (384, 70);
        let (input, bias) = (numbers(13 * inputs, 5), numbers(outputs, 6));
        let matrix = Matrix { numbers: numbers(outputs * inputs, 7), inputs };
        let packed = Packed::new(kernel.words(), &matrix, &bias, None);
        let together = product(kernel, &input, inputs, &packed, 0.0);
        let alone = input.chunks_exact(inputs).flat_map(|row| product(kernel, row, inputs, &packed, 0.0));
        assert!(alone.eq(together), "{}", kernel.name());
    }
}

/// Rows and weights at the ends of their ranges, with the signs that would fill sixteen bits.
#[test]
fn no_sum_wraps_or_saturates() {
    for kernel in Kernel::available().into_iter().filter(|kernel| kernel.is_in_eight_bits()) {
        for pattern in [1_usize, 2, 3, 4, 8] {
            let inputs = 1_536;
            let sign = |at: usize| if (at / pattern).is_multiple_of(2) { 1.0 } else { -1.0 };
            let weights: Vec<f32> = (0..inputs).map(sign).collect();
            // The values of such a row are 255 where the weights are positive, and 0 elsewhere.
            let row = weights.clone();
            let matrix = Matrix { numbers: weights, inputs };
            let packed = Packed::new(kernel.words(), &matrix, &[0.0], None);
            let got = product(kernel, &row, inputs, &packed, 0.0)[0];
            // All weights are as large as the largest, so half a level's rounding is in each.
            assert!((got - 1_536.0).abs() < 32.0, "{got} on {}, pattern {pattern}", kernel.name());
        }
    }
}

#[test]
fn rows_of_nothing_and_of_one_number_are_kept() {
    for kernel in Kernel::available() {
        let packed = Packed::new(kernel.words(), &Matrix { numbers: vec![1.0; 8], inputs: 8 }, &[0.0], None);
        for number in [0.0, 1.5, -2.25, 1e-30] {
            let got = product(kernel, &[number; 8], 8, &packed, 0.0)[0];
            assert!((got - 8.0 * number).abs() <= 1e-5, "{got} for {} on {}", 8.0 * number, kernel.name());
        }
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let row = [1.0, 2.0, number, 3.0, 0.0, 0.0, 0.0, 0.0];
            let got = product(kernel, &row, 8, &packed, 0.0)[0];
            assert!(!got.is_finite(), "{got} for {number} on {}", kernel.name());
        }
    }
}

#[test]
fn layer_norm_centres_and_scales() {
    for kernel in Kernel::available() {
        for count in [37, 64, 100] {
            let width = PANEL * 2;
            let norm = Norm {
                gamma: widened(&vec![2.0; count], count, width),
                beta: widened(&vec![0.5; count], count, width),
                count,
                epsilon: 1e-12,
            };
            let rows: Vec<f32> = (0..2 * count).map(|i| 5.0 + (i * i % 23) as f32).collect();
            let mut rows = widened(&rows, count, width);
            kernel.run(Normalise { rows: &mut rows, norm: &norm, target: None });
            for row in rows.chunks(width) {
                let mean = row[..count].iter().sum::<f32>() / count as f32;
                let variance = row[..count].iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count as f32;
                assert!((mean - 0.5).abs() < 1e-5 && (variance - 4.0).abs() < 1e-4, "{mean}, {variance}");
                assert!(row[count..].iter().all(|&x| x == 0.0), "beside the row");
            }
        }
    }
}

/// Rows whose numbers hardly differ, or not at all, at any width: the mean must not weigh more than what is apart from it.
#[test]
fn layer_norm_keeps_what_little_there_is() {
    for kernel in Kernel::available() {
        for count in [1, 15, 17, 37, 48, 100, 127, 128] {
            let width = PANEL * 2;
            let ones = widened(&vec![1.0; count], count, width);
            let norm = Norm { gamma: ones, beta: vec![0.0; width], count, epsilon: 1e-12 };
            let normalised = |row: &[f32]| {
                let mut row = widened(row, count, width);
                kernel.run(Normalise { rows: &mut row, norm: &norm, target: None });
                row[..count].to_vec()
            };
            for number in [0.0, 1.0, -3.7, 1e4] {
                let got = normalised(&vec![number; count]);
                assert!(got.iter().all(|x| x.is_finite()), "{count} times {number} on {}", kernel.name());
            }
            let row: Vec<f32> = numbers(count, 16).iter().map(|x| 1.0 + x * 1e-4).collect();
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / count as f64;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count as f64;
            for (x, got) in row.iter().zip(normalised(&row)) {
                let expected = (f64::from(*x) - mean) / (variance + 1e-12).sqrt();
                let apart = (f64::from(got) - expected).abs();
                assert!(apart < 0.01, "{count} numbers on {}: off by {apart}", kernel.name());
            }
        }
    }
}

/// Φ by summing its series in f64: slow, and independent of the approximations under test.
fn normal_distribution(x: f64) -> f64 {
    let (mut term, mut sum, mut k) = (x, x, 1.0);
    while term.abs() > 1e-17 {
        term *= x * x / (2.0 * k + 1.0);
        sum += term;
        k += 1.0;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// What lies between the two products of a feed-forward half.
fn activated(kernel: Kernel, rows: &[f32], inputs: usize, weights: &Packed, next: &Packed) -> Activated {
    let count = rows.len() / inputs;
    let prepared = prepared(kernel, rows, inputs, weights);
    let mut activated = Activated::default();
    activated.fit(count, weights.columns);
    let out = Out::Activate(&mut activated, next);
    kernel.run(Product { rows: &prepared, first: 0, count, weights, out });
    activated
}

/// From −12 to 12: past the polynomial's end, and to where nothing is left of the negative side.
#[test]
fn gelu_is_right_to_what_its_precision_asks_for() {
    for kernel in Kernel::available() {
        let (rows, columns) = (7, 1_024);
        // A product with nothing leaves the bias, in each row.
        let bias: Vec<f32> = (0..columns).map(|i| -12.0 + i as f32 * 0.023_437_5).collect();
        let nothing = Matrix { numbers: vec![0.0; columns], inputs: 1 };
        let weights = Packed::new(kernel.words(), &nothing, &bias, None);
        let next = Matrix { numbers: vec![0.0; columns], inputs: columns };
        let next = Packed::new(kernel.words(), &next, &[0.0], None);
        let activated = activated(kernel, &numbers(rows, 10), 1, &weights, &next);
        for (index, got) in activated.rows(rows).iter().enumerate() {
            let x = f64::from(bias[index % columns]);
            let apart = (f64::from(*got) - x * normal_distribution(x)).abs();
            let allowed = if kernel.words() == Words::F32 { 1e-6 } else { 2e-4 };
            assert!(
                apart < allowed * (x.abs() / 10.0).max(1.0),
                "gelu({x}) is off by {apart} on {}",
                kernel.name()
            );
        }
    }
}

/// What a product leaves for the next is what that would have made of the rows by itself, to the bit.
#[test]
fn activated_rows_are_prepared_like_any_others() {
    for kernel in Kernel::available() {
        for (rows, inputs, wide) in [(1, 1, 1), (5, 33, 70), (13, 64, 256), (24, 7, 1_536)] {
            let matrix = Matrix { numbers: numbers(wide * inputs, 11), inputs };
            let weights = Packed::new(kernel.words(), &matrix, &numbers(wide, 12), None);
            let next = Matrix { numbers: numbers(wide, 13), inputs: wide };
            let smoothing: Vec<f32> = numbers(wide, 14).iter().map(|x| 1.5 + x).collect();
            let plain = Packed::new(kernel.words(), &next, &[0.0], None);
            let smoothed = Packed::new(kernel.words(), &next, &[0.0], Some(&smoothing));
            let input = numbers(rows * inputs, 15);
            let [mut apart, mut at_once] = [Rows::default(), Rows::default()];
            apart.fit(rows, &smoothed);
            at_once.fit(rows, &smoothed);
            let (between, width) = (activated(kernel, &input, inputs, &weights, &plain), weights.columns);
            let target = Target { weights: &smoothed, rows: &mut apart, first: 0 };
            kernel.run(Prepare { rows: between.rows(rows), width, target });
            let between = activated(kernel, &input, inputs, &weights, &smoothed);
            let target = Target { weights: &smoothed, rows: &mut at_once, first: 0 };
            kernel.run(PrepareActivated { activated: &between, count: rows, target });
            let used = ..rows * apart.row_words;
            assert!(apart.words.words()[used] == at_once.words.words()[used], "{}", kernel.name());
            assert_eq!(apart.scales[..rows], at_once.scales[..rows], "{}", kernel.name());
            assert_eq!(apart.shifts[..rows], at_once.shifts[..rows], "{}", kernel.name());
        }
    }
}

#[test]
fn means_are_means() {
    for kernel in Kernel::available() {
        let mut mean = vec![7.0; 64];
        let rows = numbers(3 * 64, 8);
        kernel.run(Mean { rows: &rows, mean: &mut mean });
        for (column, mean) in mean.iter().enumerate() {
            let expected = (rows[column] + rows[64 + column] + rows[128 + column]) / 3.0;
            assert!((mean - expected).abs() < 1e-6);
        }
    }
}

/// Queries, keys and values of some heads, in words of the kernel's attention, with rows of something else behind them.
fn projected(kernel: Kernel, rows: &[f32], count: usize, width: usize) -> Lines {
    let per_word = kernel.numbers_in_attention();
    let mut words = Lines::zeros((count + ROWS_BEYOND) * width / per_word);
    for (at, &x) in rows.iter().enumerate() {
        let word = &mut words.words_mut()[at / per_word];
        *word = if per_word == 1 { x.to_bits() } else { *word | x.to_bits() >> 16 << (16 * (at % 2)) };
    }
    for word in &mut words.words_mut()[count * width / per_word..] {
        *word = f32::NAN.to_bits();
    }
    words
}

#[test]
fn attention_is_right_at_every_length() {
    for kernel in Kernel::available() {
        for (length, heads, head) in [
            (1, 2, HEAD),
            (2, 1, 64),
            (15, 3, 32),
            (17, 1, 96),
            (64, 2, 32),
            (65, 1, 64),
            (130, 1, 32),
            (512, 1, 32),
        ] {
            let width = 3 * heads * head;
            // Cut to bf16, so that both sides start from the same numbers.
            let cut = |x: &f32| f32::from_bits((4.0 * x).to_bits() & 0xffff_0000);
            let rows: Vec<f32> = numbers(length * width, 9).iter().map(cut).collect();
            let words = projected(kernel, &rows, length, width);
            let mut buffers = Buffers::default();
            buffers.fit(length, head);
            let mut context = vec![f32::NAN; length * heads * head];
            kernel.run(Attend {
                projected: words.words(),
                row_words: width / kernel.numbers_in_attention(),
                length,
                heads,
                head,
                buffers: &mut buffers,
                context: &mut context,
                context_width: heads * head,
            });
            let allowed = if kernel.numbers_in_attention() == 1 { 1e-4 } else { 0.03 };
            for (at, got) in context.iter().enumerate() {
                let (query, column) = (at / (heads * head), at % (heads * head));
                let expected = attended(&rows, length, heads, head, query, column);
                let apart = (f64::from(*got) - expected).abs();
                assert!(apart < allowed, "{length}, {heads} × {head} on {}: off by {apart}", kernel.name());
            }
        }
    }
}

/// Scores beyond what f32 holds have no softmax: what comes of them must not pass for numbers.
#[test]
fn attention_does_not_hide_what_is_no_number() {
    for kernel in Kernel::available() {
        for bad in [3e38, f32::INFINITY, f32::NAN] {
            let (length, head) = (20, HEAD);
            let mut rows = numbers(length * 3 * head, 17);
            // A query and a key.
            rows[4 * 3 * head..][..2 * head].fill(bad);
            let words = projected(kernel, &rows, length, 3 * head);
            let mut buffers = Buffers::default();
            buffers.fit(length, head);
            let mut context = vec![0.0; length * head];
            kernel.run(Attend {
                projected: words.words(),
                row_words: 3 * head / kernel.numbers_in_attention(),
                length,
                heads: 1,
                head,
                buffers: &mut buffers,
                context: &mut context,
                context_width: head,
            });
            let gathered = &context[4 * head..][..head];
            assert!(gathered.iter().all(|x| x.is_nan()), "{bad} on {}: {gathered:?}", kernel.name());
        }
    }
}

/// One number of what one query gathers, by definition.
fn attended(rows: &[f32], length: usize, heads: usize, head: usize, query: usize, column: usize) -> f64 {
    let at = |row: usize, part: usize, column: usize| {
        f64::from(rows[row * 3 * heads * head + part * heads * head + column])
    };
    let first = column / head * head;
    let score = |key: usize| (0..head).map(|i| at(query, 0, first + i) * at(key, 1, first + i)).sum::<f64>();
    let most = (0..length).map(score).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = (0..length).map(|key| (score(key) - most).exp2()).collect();
    let gathered: f64 = weights.iter().enumerate().map(|(key, weight)| weight * at(key, 2, column)).sum();
    gathered / weights.iter().sum::<f64>()
}
