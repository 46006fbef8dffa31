//! `C ← α·A·B + β·C` on checked views, computed by `matrixmultiply`.
//!
//! Each element of C is a sum over k in an order that depends on k alone: neither the number of rows of A nor a row's
//! place among them changes it. The encoder's promise of bit-identical vectors rests on that, and
//! `rows_do_not_depend_on_their_neighbours` watches it.
#![allow(unsafe_code)]

/// A matrix inside a slice, rows or columns contiguous.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A matrix to write, its rows contiguous and apart.
pub(crate) struct ViewMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> View<'a> {
    /// `rows × columns` numbers whose rows start `row_stride` apart.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        check_extent(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same numbers, rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

impl<'a> ViewMut<'a> {
    /// `rows × columns` numbers whose rows start `row_stride` apart.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        check_extent(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride }
    }
}

/// `c ← alpha·a·b + beta·c`.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn multiply(alpha: f32, a: View<'_>, b: View<'_>, beta: f32, c: ViewMut<'_>) {
    assert_eq!(a.columns, b.rows, "inner dimensions differ");
    assert_eq!((a.rows, b.columns), (c.rows, c.columns), "the product has another shape");
    // SAFETY: check_extent held each view's last element inside its slice when it was made, and transposing keeps the
    // set of addresses. `c` is borrowed mutably, so it overlaps neither `a` nor `b`, and its rows do not overlap
    // (row_stride >= columns). Slices are no longer than isize::MAX bytes, so the strides fit isize.
    unsafe {
        matrixmultiply::sgemm(
            a.rows,
            a.columns,
            b.columns,
            alpha,
            a.data.as_ptr(),
            a.row_stride as isize,
            a.column_stride as isize,
            b.data.as_ptr(),
            b.row_stride as isize,
            b.column_stride as isize,
            beta,
            c.data.as_mut_ptr(),
            c.row_stride as isize,
            1,
        );
    }
}

fn check_extent(length: usize, rows: usize, columns: usize, row_stride: usize) {
    assert!(row_stride >= columns, "rows overlap");
    let last_row = rows.saturating_sub(1).checked_mul(row_stride);
    let columns = if rows == 0 { 0 } else { columns };
    let extent = last_row.and_then(|start| start.checked_add(columns));
    assert!(extent.is_some_and(|extent| extent <= length), "the matrix reaches past its slice");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::sample::numbers;

    #[test]
    fn equals_the_definition() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (16, 384, 33), (17, 300, 48)] {
            let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
            let start = numbers(m * n, 3);
            let mut c = start.clone();
            let right = View::new(&b, n, k, k).transposed();
            multiply(0.5, View::new(&a, m, k, k), right, 1.0, ViewMut::new(&mut c, m, n, n));
            for row in 0..m {
                for column in 0..n {
                    let dot: f64 =
                        (0..k).map(|i| f64::from(a[row * k + i]) * f64::from(b[column * k + i])).sum();
                    let expected = 0.5 * dot + f64::from(start[row * n + column]);
                    assert!((f64::from(c[row * n + column]) - expected).abs() < 1e-4, "{m}×{k}×{n}");
                }
            }
        }
    }

    #[test]
    fn rows_do_not_depend_on_their_neighbours() {
        for (k, n) in [(32, 32), (384, 384), (1536, 384)] {
            let (a, b) = (numbers(70 * k, 4), numbers(n * k, 5));
            for beta in [0.0, 1.0] {
                let product = |first: usize, rows: usize| {
                    let mut c = vec![0.25; rows * n];
                    let left = View::new(&a[first * k..], rows, k, k);
                    let right = View::new(&b, n, k, k).transposed();
                    multiply(1.0, left, right, beta, ViewMut::new(&mut c, rows, n, n));
                    c
                };
                let whole = product(0, 70);
                for (first, rows) in [(0, 1), (69, 1), (5, 3), (13, 16), (20, 17), (1, 65)] {
                    let part = product(first, rows);
                    assert!(
                        part == whole[first * n..(first + rows) * n],
                        "rows {first}+{rows}, k {k}, beta {beta}"
                    );
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "reaches past its slice")]
    fn a_view_past_its_slice_is_refused() {
        View::new(&[0.0; 11], 3, 4, 4);
    }
}
