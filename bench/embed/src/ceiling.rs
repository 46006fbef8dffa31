//! What the processor's arithmetic reaches when nothing but registers takes part: the ceilings of the kernels, measured.
//!
//! The only room with `unsafe` in it here: instructions that not every machine has.

#[cfg(target_arch = "x86_64")]
mod x86;

use serde::Serialize;

/// Operations that one core can do, multiplications and additions counted apart.
#[derive(Clone, Serialize)]
pub(crate) struct Ceiling {
    /// The kernels whose names start so are held against it.
    pub(crate) name: &'static str,
    /// By which instructions.
    pub(crate) instructions: &'static str,
    /// 10⁹ operations per CPU-second, the best of several.
    pub(crate) gops: f64,
}

/// A loop of one kind of instruction: runs it for about `rounds` and says how many operations those were.
struct Loop {
    name: &'static str,
    instructions: &'static str,
    run: fn(rounds: u64) -> u64,
}

/// Measures all that this machine has, and keeps the better figure where one is known.
pub(crate) fn measure(known: &mut Vec<Ceiling>) {
    for Loop { name, instructions, run } in loops() {
        let mut gops = 0.0_f64;
        for _ in 0..5 {
            let start = crate::clock::thread();
            let operations = run(400_000);
            gops = gops.max(operations as f64 / (crate::clock::thread() - start).as_secs_f64() / 1e9);
        }
        match known.iter_mut().find(|ceiling| ceiling.name == name) {
            Some(ceiling) => ceiling.gops = ceiling.gops.max(gops),
            None => known.push(Ceiling { name, instructions, gops }),
        }
    }
}

/// The ceiling of a kernel: the one with the longest name that the kernel's starts with.
pub(crate) fn of<'a>(ceilings: &'a [Ceiling], kernel: &str) -> Option<&'a Ceiling> {
    let fitting = ceilings.iter().filter(|ceiling| kernel.starts_with(ceiling.name));
    fitting.max_by_key(|ceiling| ceiling.name.len())
}

/// The highest ceiling of f32 or int8.
pub(crate) fn highest<'a>(ceilings: &'a [Ceiling], numbers: &str) -> Option<&'a Ceiling> {
    let fitting = ceilings.iter().filter(|ceiling| ceiling.name.starts_with(numbers));
    fitting.max_by(|a, b| a.gops.total_cmp(&b.gops))
}

#[cfg(target_arch = "x86_64")]
fn loops() -> Vec<Loop> {
    x86::loops()
}

#[cfg(not(target_arch = "x86_64"))]
fn loops() -> Vec<Loop> {
    Vec::new()
}
