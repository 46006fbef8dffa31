//! The workers, seen from the process that asks them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::arguments::Places;
use crate::protocol::{Pass, Reply, Request};

/// A contestant in its process.
pub(crate) struct Worker {
    pub(crate) name: String,
    child: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a contestant on one thread, and waits for its first vector; how long that took.
    pub(crate) fn start(name: &str, places: &Places) -> anyhow::Result<(Self, Duration)> {
        Self::start_with(name, places, Some(1))
    }

    /// [`Worker::start`]; without a number of threads it is left to the contestant.
    pub(crate) fn start_with(
        name: &str,
        places: &Places,
        threads: Option<usize>,
    ) -> anyhow::Result<(Self, Duration)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(places.as_arguments()).args(["--worker", name]);
        if let Some(threads) = threads {
            for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS"] {
                command.env(variable, threads.to_string());
            }
        }
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let requests = child.stdin.take();
        let replies = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut worker = Self { name: name.to_owned(), child, requests, replies };
        match worker.reply()? {
            Reply::Ready => Ok((worker, start.elapsed())),
            Reply::Failed(why) => bail!(why),
            _ => bail!("it answered before it was asked"),
        }
    }

    /// Asks, without waiting for the answer.
    pub(crate) fn ask(&mut self, request: Request) -> anyhow::Result<()> {
        let pipe = self.requests.as_mut().context("the worker is gone")?;
        writeln!(pipe, "{}", serde_json::to_string(&request)?)?;
        Ok(pipe.flush()?)
    }

    pub(crate) fn reply(&mut self) -> anyhow::Result<Reply> {
        let mut line = String::new();
        if self.replies.read_line(&mut line)? == 0 {
            bail!("it ended with {}", self.child.wait()?);
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Asks and waits.
    pub(crate) fn answer(&mut self, request: Request) -> anyhow::Result<Reply> {
        self.ask(request)?;
        match self.reply()? {
            Reply::Failed(why) => bail!(why),
            reply => Ok(reply),
        }
    }

    /// A pass, or one over mixed texts.
    pub(crate) fn pass(&mut self, request: Request) -> anyhow::Result<Pass> {
        self.ask(request)?;
        self.passed()
    }

    /// Waits for a pass that was asked for.
    pub(crate) fn passed(&mut self) -> anyhow::Result<Pass> {
        match self.reply()? {
            Reply::Passed(pass) => Ok(pass),
            Reply::Failed(why) => bail!(why),
            _ => bail!("it answered something else"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends when its input does; one that hangs is not waited for.
        self.requests.take();
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
