//! The worker that `tests/worker/main.rs` starts: an honest one, unless the file's first word tells it to misbehave.
//! As `parent` it is the owner of a pool whose worker hangs, to be killed by the test.

use std::hint::black_box;
use std::io::Write;
use std::time::Duration;
use std::{env, io, process, thread};

use quipu_extract::worker::{WorkerConfig, WorkerPool, serve_with};
use quipu_extract::{ExtractError, Extracted, Format, Limits, extract, extract_owned};

fn main() -> io::Result<()> {
    if env::args().nth(1).as_deref() == Some("parent") {
        return be_a_parent();
    }
    serve_with(misbehave)
}

fn misbehave(format: &Format, bytes: Vec<u8>, limits: &Limits) -> Result<Extracted, ExtractError> {
    match String::from_utf8_lossy(&bytes).split(' ').next().unwrap_or_default() {
        "hang" => loop {
            thread::sleep(Duration::from_secs(60));
        },
        "spin" => loop {
            black_box(&bytes);
        },
        "allocate" => {
            let mut blocks = Vec::new();
            loop {
                blocks.push(vec![1_u8; 1 << 20]);
                black_box(&blocks);
            }
        }
        "fatten" => {
            Box::leak(vec![1_u8; 100 << 20].into_boxed_slice());
        }
        "abort" => process::abort(),
        "exit" => {
            eprintln!("cannot go on\n");
            process::exit(3)
        }
        "panic" => panic!("this parser panics"),
        "overflow" => {
            black_box(recurse(u64::MAX));
        }
        "garbage" => {
            println!("{}", "this is no frame ".repeat(20));
            thread::sleep(Duration::from_secs(60));
        }
        "chatter" => {
            for _ in 0..2000 {
                eprintln!("{}", "words ".repeat(100));
            }
        }
        "leave" => {
            thread::spawn(|| {
                thread::sleep(Duration::from_millis(50));
                process::exit(0)
            });
        }
        _ => return extract_owned(format, bytes, limits),
    }
    extract(&Format::Text, process::id().to_string().as_bytes(), limits)
}

#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    let block = black_box([depth; 64]);
    recurse(depth.wrapping_sub(1)).wrapping_add(block[0])
}

/// Prints its worker's process id once that hangs, and waits for its own end.
fn be_a_parent() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let pool = WorkerPool::new(WorkerConfig::new(env::current_exe()?, ["worker"]));
        let tell = async {
            while pool.pids().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // Long enough for the worker to be parsing; the test holds for a shorter time, too.
            tokio::time::sleep(Duration::from_millis(300)).await;
            println!("{}", pool.pids()[0]);
            io::stdout().flush()
        };
        let (told, _) = tokio::join!(tell, pool.extract(&Format::Text, b"hang"));
        told
    })
}
