//! What a server answers, read and checked: as many vectors as texts, each of the right length, each number finite.

use serde::Deserialize;

use super::error::Trouble;

/// Bytes that one number of an answer takes at most, with what stands around it: `-1.2345678901234567e-10`, a comma,
/// white space.
const NUMBER_BYTES_MAX: usize = 40;

/// Bytes of an answer beside its numbers.
const FRAME_BYTES_MAX: usize = 64 << 10;

/// The part of an answer that counts.
#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    /// Which text it is of; in their order, where the server does not say.
    index: Option<usize>,
    embedding: Vec<f32>,
}

/// The most that an answer of so many vectors may take.
pub(super) fn bytes_max(vectors: usize, dimensions: usize) -> u64 {
    (FRAME_BYTES_MAX + vectors * dimensions * NUMBER_BYTES_MAX) as u64
}

/// The vectors in `body`, in the order of the texts.
pub(super) fn read(body: &[u8], texts: usize, dimensions: usize) -> Result<Vec<Vec<f32>>, Trouble> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| Trouble::Garbled(format!("{error} in its answer")))?;
    let found = answer.data.len();
    if found != texts {
        return Err(Trouble::Garbled(format!("{found} vectors came for {texts} texts")));
    }
    let mut vectors: Vec<Vec<f32>> = vec![Vec::new(); texts];
    for (place, Embedding { index, embedding }) in answer.data.into_iter().enumerate() {
        let index = index.unwrap_or(place);
        check(&embedding, dimensions)?;
        match vectors.get_mut(index) {
            Some(free) if free.is_empty() => *free = embedding,
            _ => return Err(Trouble::Garbled(format!("it numbers a vector {index}, twice or for no text"))),
        }
    }
    Ok(vectors)
}

fn check(vector: &[f32], dimensions: usize) -> Result<(), Trouble> {
    if vector.len() != dimensions {
        return Err(Trouble::Dimensions { expected: dimensions, found: vector.len() });
    }
    if vector.iter().any(|number| !number.is_finite()) {
        return Err(Trouble::Garbled("a number is not finite".to_owned()));
    }
    if vector.iter().all(|&number| number == 0.0) {
        return Err(Trouble::Garbled("a vector is all zeros".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<&[&[f32]], &str>) {
        match (read(body.as_bytes(), 2, 2), expected) {
            (Ok(vectors), Ok(expected)) => assert_eq!(vectors, expected, "{body}"),
            (Err(trouble), Err(part)) => {
                assert!(trouble.to_string().contains(part), "{body}: {trouble}");
            }
            (read, _) => panic!("{body}: {read:?}"),
        }
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let expected: &[&[f32]] = &[&[1.0, 0.5], &[-2.0, 0.25]];
        check(r#"{"data":[{"embedding":[1,0.5]},{"embedding":[-2.0,2.5e-1]}],"usage":{}}"#, Ok(expected));
        check(
            r#"{"object":"list","data":[{"index":1,"embedding":[-2,0.25]},{"index":0,"embedding":[1,0.5]}]}"#,
            Ok(expected),
        );
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        check("<html>", Err("in its answer"));
        check(r#"{"error":{"message":"no"}}"#, Err("missing field `data`"));
        check(r#"{"data":[{"embedding":[1,2]}]}"#, Err("1 vectors came for 2 texts"));
        check(r#"{"data":[{"embedding":"AACAPw"},{"embedding":"AACAPw"}]}"#, Err("invalid type"));
        check(r#"{"data":[{"embedding":[1,NaN]},{"embedding":[1,2]}]}"#, Err("in its answer"));
        check(r#"{"data":[{"embedding":[1,1e39]},{"embedding":[1,2]}]}"#, Err("not finite"));
        check(r#"{"data":[{"embedding":[0,0]},{"embedding":[1,2]}]}"#, Err("all zeros"));
        check(r#"{"data":[{"embedding":[1,2,3]},{"embedding":[1,2,3]}]}"#, Err("vectors of 3 numbers"));
        check(
            r#"{"data":[{"index":1,"embedding":[1,2]},{"index":1,"embedding":[1,2]}]}"#,
            Err("a vector 1, twice"),
        );
        check(r#"{"data":[{"index":7,"embedding":[1,2]},{"embedding":[1,2]}]}"#, Err("a vector 7"));
    }

    #[test]
    fn the_widest_numbers_fit_the_bound() {
        let number = format!("{:e},\n        ", -1.234_567_890_123_456_7e-100_f64);
        assert!(number.len() <= NUMBER_BYTES_MAX, "{}", number.len());
    }
}
