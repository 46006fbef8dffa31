//! A peer that is a program of its own: it answers each line with a line.

use crate::arguments::Program as Where;
use anyhow::{Context, anyhow, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Kept running, so that its threads are as warm as ours.
pub(crate) struct Program {
    name: &'static str,
    running: Result<Running, String>,
}

struct Running {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it. One that does not start has a reason, which every question then gets as its answer.
    pub(crate) fn start(name: &'static str, place: &Where) -> Self {
        let running =
            place.clone().and_then(|path| Running::start(Command::new(path)).map_err(|e| format!("{e:#}")));
        Self { name, running }
    }

    /// The numbers of its answer.
    pub(crate) fn ask(&mut self, question: &str) -> anyhow::Result<Vec<u64>> {
        let running = self.running.as_mut().map_err(|why| anyhow!("{why}"))?;
        let answer = running.ask(question).with_context(|| format!("asking {} `{question}`", self.name))?;
        answer.split_whitespace().map(|number| Ok(number.parse()?)).collect()
    }
}

impl Running {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let questions = child.stdin.take().context("it has no input")?;
        let answers = BufReader::new(child.stdout.take().context("it has no output")?);
        Ok(Self { child, questions, answers })
    }

    fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        writeln!(self.questions, "{question}")?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            bail!("it has ended: {}", self.child.wait()?);
        }
        Ok(answer)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
