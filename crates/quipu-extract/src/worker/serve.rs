//! A worker's side: [`serve`] reads requests from standard input, parses, answers on standard output.

use std::io::{self, Read, Write};
use std::process;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::protocol::{self, Answer, PREFIX_BYTES, Request};
use crate::extract::contain_panics;
use crate::{ExtractError, Extracted, Format, Limits, extract_owned};

/// Stack of the parsing thread. Address space only until it is used; deep but honest documents fit, and an
/// overflow is a crash that one file sees.
const PARSER_STACK_BYTES: usize = 64 << 20;

/// Requests read ahead of the parser: none, the pool waits for each answer.
const QUEUE_LENGTH_MAX: usize = 1;

/// How a worker ends when what it reads is no request.
const EXIT_GARBAGE: i32 = 65;
/// How it ends when it cannot go on for reasons of its own.
const EXIT_BROKEN: i32 = 71;

/// What a worker does with a file.
pub type Parser = fn(&Format, Vec<u8>, &Limits) -> Result<Extracted, ExtractError>;

/// Serves requests with [`extract_owned`] until standard input closes, then exits at once, even in the
/// middle of parsing.
///
/// This is the whole body of the hidden subcommand that [`super::WorkerConfig`] names. Nothing else may write to
/// standard output.
pub fn serve() -> ! {
    serve_with(extract_owned)
}

/// The same with a parser of one's own.
pub fn serve_with(parser: Parser) -> ! {
    let (sender, receiver) = sync_channel(QUEUE_LENGTH_MAX);
    let thread = thread::Builder::new()
        .name(String::from("parser"))
        .stack_size(PARSER_STACK_BYTES)
        .spawn(move || parse_all(receiver, parser));
    if thread.is_err() {
        process::exit(EXIT_BROKEN);
    }
    // This thread does nothing but read: so the end of input is noticed whatever the parser is doing.
    process::exit(match read_all(&sender) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("reading a request: {error}");
            EXIT_GARBAGE
        }
    })
}

/// Reads requests to the end of input, which between two requests is no error.
fn read_all(sender: &SyncSender<(Request, Vec<u8>)>) -> io::Result<()> {
    let mut input = io::stdin().lock();
    loop {
        let mut prefix = [0; PREFIX_BYTES];
        match input.read_exact(&mut prefix) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let lengths = protocol::lengths(&prefix)?;
        let header = read_bytes(&mut input, lengths.header)?;
        let body = read_bytes(&mut input, lengths.body)?;
        let request = protocol::header(&header)?;
        write_taken()?;
        if sender.send((request, body)).is_err() {
            return Err(io::Error::other("the parser is gone"));
        }
    }
}

/// Reads so many bytes, growing as they come: a length is only a promise.
fn read_bytes(input: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

fn parse_all(receiver: Receiver<(Request, Vec<u8>)>, parser: Parser) {
    for (request, bytes) in receiver {
        let answer = contain_panics(request.format, || parser(&request.format, bytes, &request.limits));
        if let Err(error) = write_answer(answer) {
            eprintln!("writing an answer: {error}");
            process::exit(EXIT_BROKEN);
        }
    }
}

fn write_taken() -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(&protocol::TAKEN)?;
    output.flush()
}

fn write_answer(answer: Answer) -> io::Result<()> {
    let (answer, text) = protocol::split(answer);
    let mut output = io::stdout().lock();
    output.write_all(&protocol::head(&answer, text.len())?)?;
    output.write_all(text.as_bytes())?;
    output.flush()
}
