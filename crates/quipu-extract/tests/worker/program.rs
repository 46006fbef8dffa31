//! The worker that `tests/worker/main.rs` starts: an honest one, unless the file's first word tells it to misbehave.
//! As `parent` it is the owner of a pool whose worker hangs, to be killed by the test; as `short` it takes one file, and
//! leaves when the first byte of the next has come.

use std::hint::black_box;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, io, process, thread};

use quipu_extract::worker::{WorkerConfig, WorkerPool, serve_with};
use quipu_extract::{ExtractError, Extracted, Format, Limits, extract, extract_owned};

fn main() -> io::Result<()> {
    match env::args().nth(1).as_deref() {
        Some("parent") => be_a_parent(),
        Some("short") => be_short_lived(),
        _ => serve_with(misbehave),
    }
}

/// Gives the first request to an honest worker, whose answer is its own. The second is in the pipe when this ends.
fn be_short_lived() -> io::Result<()> {
    let mut honest = Command::new(env::current_exe()?).arg("worker").stdin(Stdio::piped()).spawn()?;
    let mut to_honest = honest.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // Unbuffered, or what is to stay in the pipe would be read.
    let mut input = std::fs::File::open("/dev/stdin")?;
    let mut prefix = [0; 16];
    input.read_exact(&mut prefix)?;
    let [_, _, _, _, h0, h1, h2, h3, body @ ..] = prefix;
    let rest = u64::from(u32::from_le_bytes([h0, h1, h2, h3])) + u64::from_le_bytes(body);
    to_honest.write_all(&prefix)?;
    io::copy(&mut (&mut input).take(rest), &mut to_honest)?;
    io::copy(&mut (&mut input).take(1), &mut io::sink())?;
    drop(to_honest);
    honest.wait()?;
    Ok(())
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
        "tally" => {
            let path = String::from_utf8_lossy(&bytes[6..]).into_owned();
            let tally = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let _ = tally.and_then(|mut tally| tally.write_all(b"."));
            process::exit(3)
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
