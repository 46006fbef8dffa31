//! The program: index folders, ask them questions. `args` is what can be said, `commands` what each command does.

mod args;
mod commands;
mod location;
mod progress;
mod render;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

/// Finished, but some files failed.
const EXIT_SOME_FAILED: u8 = 1;

/// As for every error on the command line.
const EXIT_USAGE: u8 = 2;

/// Could not run.
const EXIT_COULD_NOT_RUN: u8 = 3;

/// How a command that ran to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All well.
    Well,
    /// Done, but some files failed, now or before.
    SomeFailed,
    /// What was asked makes no sense, in a way that only an index can tell.
    Usage,
}

fn main() -> ExitCode {
    let Arguments { command, common } = Arguments::parse();
    let ending = match command {
        Command::ExtractWorker => quipu_extract::worker::serve(),
        Command::Index(arguments) => commands::index::run(&common, &arguments),
        Command::Search(arguments) => commands::search::run(&common, &arguments),
        Command::Status => commands::status::run(&common),
        Command::Explain => commands::explain::run(&common),
        Command::Verify => commands::verify::run(&common),
        Command::Forget { paths } => commands::forget::run(&common, &paths),
        Command::Init { folder } => commands::init::run(&common, &folder),
        Command::Model { command } => commands::model::run(&common, &command),
    };
    match ending {
        Ok(Ending::Well) => ExitCode::SUCCESS,
        Ok(Ending::SomeFailed) => ExitCode::from(EXIT_SOME_FAILED),
        Ok(Ending::Usage) => ExitCode::from(EXIT_USAGE),
        Err(error) if render::reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            render::error(&error);
            ExitCode::from(EXIT_COULD_NOT_RUN)
        }
    }
}
