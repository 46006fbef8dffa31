//! The dataflow engine and the bridge beside their peers, in one run on one machine.
//!
//! `cargo xtask bench flow` builds this program and the peers that are programs of their own (oneTBB in C++, Dynamo
//! with its own Tokio), and runs it. What is measured stands in `workloads`, how the others do it in `peers`, how we do
//! it in `ours`; `measure` lets them take turns and `table` prints.

mod allocator;
mod arguments;
mod clock;
mod drive;
#[path = "../../../xtask/src/bench/machine.rs"]
mod machine;
mod measure;
mod ours;
mod peers;
mod table;
mod workloads;

use arguments::Arguments;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::of_process()?;
    let mut report = table::Report::new(&arguments);
    for (name, rows) in workloads::ALL {
        if arguments.only.as_ref().is_none_or(|only| only == name) {
            eprintln!("measuring: {name}");
            report.groups.push(rows(&arguments)?);
        }
    }
    if arguments.json {
        return report.print_json();
    }
    report.print();
    Ok(())
}
