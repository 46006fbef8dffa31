//! The encoder's kernels and their peers, in one run on one machine.
//!
//! `cargo xtask bench embed` builds this program, makes the peers' ONNX files (`onnx/export.py`), and runs it. It starts
//! itself again for each contestant ([`worker`], seen from here through [`crew`]), so that a pool, an allocator or a crash
//! of one is nobody else's. Who takes part stands in [`contestants`], on what in [`texts`]; [`measure`] lets them take turns,
//! [`without`] hides what a lesser machine would lack, [`report`] and [`print`] show what came out.

mod arguments;
mod clock;
mod contestants;
mod crew;
#[path = "../../../xtask/src/bench/machine.rs"]
mod machine;
mod measure;
mod print;
mod protocol;
mod report;
mod texts;
mod without;
mod worker;

use anyhow::Context;

use arguments::Arguments;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::of_process()?;
    if let Some(without) = arguments.places.without {
        without.hide().with_context(|| format!("hiding {}", without.name()))?;
    }
    if let Some(name) = &arguments.worker {
        return worker::serve(name, &arguments.places);
    }
    let report = measure::run(&arguments)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print::print(&report);
    }
    Ok(())
}
