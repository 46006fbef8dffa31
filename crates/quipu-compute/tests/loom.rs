//! Every interleaving of the hand-written protocols, by loom. The files are the crate's own, compiled on loom's lock:
//! `RUSTFLAGS="--cfg loom" cargo test -p quipu-compute --test loom --release`
//! (A target directory of its own spares the next ordinary build.)
#![cfg(loom)]
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

#[path = "../src/cell.rs"]
mod cell;
#[path = "../src/line.rs"]
mod line;
#[path = "../src/sync.rs"]
mod sync;

use cell::{Cell, Fault};
use line::{Line, Place};
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;
use std::future::poll_fn;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

/// A job that counts its runs. `claimed` is a std atomic, as in the crate: the line's lock guards it.
#[derive(Clone)]
struct Job(Arc<Inner>);

struct Inner {
    claimed: AtomicBool,
    runs: AtomicUsize,
}

impl Job {
    fn new() -> Self {
        Self(Arc::new(Inner { claimed: AtomicBool::new(false), runs: AtomicUsize::new(0) }))
    }

    fn runs(&self) -> usize {
        self.0.runs.load(SeqCst)
    }
}

impl Place for Job {
    fn is_bounded(&self) -> bool {
        true
    }

    fn claim(&self) -> bool {
        !self.0.claimed.swap(true, SeqCst)
    }

    fn is_claimed(&self) -> bool {
        self.0.claimed.load(SeqCst)
    }
}

/// A runner's life as in `runner`: it starts further runners as threads.
fn serve(line: &Arc<Line<Job>>, in_job: bool, is_deep: bool) {
    let mut others = Vec::new();
    let mut next = line.arrive(in_job, is_deep);
    while let Some((job, spawn)) = next {
        if spawn {
            others.push(runner(line, false));
        }
        job.0.runs.fetch_add(1, SeqCst);
        line.finish();
        next = line.next();
    }
    others.into_iter().for_each(|other| other.join().unwrap());
}

fn runner(line: &Arc<Line<Job>>, is_deep: bool) -> thread::JoinHandle<()> {
    let line = line.clone();
    thread::spawn(move || serve(&line, false, is_deep))
}

/// Pushes and, if the line says so, is the runner.
fn push(line: &Arc<Line<Job>>, job: &Job) {
    if line.push(job.clone()).ok().unwrap() {
        serve(line, false, false);
    }
}

#[test]
fn a_push_beside_a_retiring_runner_is_served() {
    for workers in [1, 2] {
        loom::model(move || {
            let line = Arc::new(Line::new(workers, 8));
            let jobs = [Job::new(), Job::new()];
            let other = thread::spawn({
                let (line, job) = (line.clone(), jobs[1].clone());
                move || push(&line, &job)
            });
            push(&line, &jobs[0]);
            other.join().unwrap();
            assert_eq!(jobs.each_ref().map(Job::runs), [1, 1]);
            assert_eq!(line.live(), 0);
        });
    }
}

#[test]
fn a_runner_that_retires_below_a_job_is_made_up_for_at_its_end() {
    for in_job in [false, true] {
        loom::model(move || {
            let line = Arc::new(Line::new(2, 8));
            let (first, second) = (Job::new(), Job::new());
            assert!(line.push(first.clone()).ok().unwrap());
            // A job that is running; its end is a look at the line.
            assert!(line.arrive(false, false).is_some());
            let other = thread::spawn({
                let (line, second) = (line.clone(), second.clone());
                move || {
                    if line.push(second).ok().unwrap() {
                        // The runner for it is stolen by a thread that waits in Rayon.
                        serve(&line, in_job, true);
                    }
                }
            });
            if in_job {
                // That thread is the job's own: it ends after what it stole.
                other.join().unwrap();
            }
            line.finish();
            let mut next = line.next();
            while let Some((job, spawn)) = next {
                job.0.runs.fetch_add(1, SeqCst);
                assert!(!spawn);
                line.finish();
                next = line.next();
            }
            if !in_job {
                // Otherwise it is joined by now. (`JoinHandle::join` takes it.)
                while second.runs() == 0 {
                    thread::yield_now();
                }
            }
            assert_eq!((second.runs(), line.live()), (1, 0));
        });
    }
}

#[test]
fn a_job_runs_or_is_withdrawn_exactly_once() {
    loom::model(|| {
        let line = Arc::new(Line::new(1, 1));
        let job = Job::new();
        assert!(line.push(job.clone()).ok().unwrap());
        let runner = runner(&line, false);
        let withdrawn = line.withdraw(&job);
        runner.join().unwrap();
        assert_eq!(job.runs() + usize::from(withdrawn), 1);
        assert_eq!(line.live(), 0);
        // Its place is free again, exactly one.
        assert!(line.push(Job::new()).is_ok());
        assert!(line.push(Job::new()).is_err());
    });
}

/// Waits for a place and then serves, if the line says so.
fn enter(line: &Arc<Line<Job>>, job: &Job) {
    let mut number = None;
    if block_on(poll_fn(|context| line.enter(&mut number, context, || job.clone()))) {
        serve(line, false, false);
    }
}

#[test]
fn a_place_given_back_wakes_who_waits_for_it() {
    loom::model(|| {
        let line = Arc::new(Line::new(1, 1));
        let (first, second) = (Job::new(), Job::new());
        assert!(line.push(first.clone()).ok().unwrap());
        let runner = runner(&line, false);
        enter(&line, &second);
        runner.join().unwrap();
        assert_eq!((first.runs(), second.runs()), (1, 1));
    });
}

#[test]
fn an_entrant_that_leaves_passes_its_turn_on() {
    loom::model(|| {
        let line = Arc::new(Line::new(1, 1));
        let (first, last) = (Job::new(), Job::new());
        assert!(line.push(first.clone()).ok().unwrap());
        // An entrant that is polled once, and then goes away while the place comes free.
        let mut number = None;
        let polled = block_on(poll_fn(|context| Poll::Ready(line.enter(&mut number, context, Job::new))));
        assert!(polled.is_pending());
        let runner = runner(&line, false);
        let leaver = thread::spawn({
            let line = line.clone();
            move || line.leave(number.unwrap())
        });
        enter(&line, &last);
        leaver.join().unwrap();
        runner.join().unwrap();
        assert_eq!((first.runs(), last.runs(), line.live()), (1, 1, 0));
    });
}

#[test]
fn an_answer_wakes_its_awaiter() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(7));
        let runner = thread::spawn({
            let cell = cell.clone();
            move || {
                let work = cell.start().unwrap();
                cell.finish(Ok(work + 1));
            }
        });
        let answer = block_on(poll_fn(|context| cell.poll(context)));
        assert!(matches!(answer, Ok(8)));
        runner.join().unwrap();
    });
}

#[test]
fn an_answer_wakes_who_waits_for_it_to_be_there() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(7));
        let runner = thread::spawn({
            let cell = cell.clone();
            move || {
                let work = cell.start().unwrap();
                cell.finish(Ok(work));
            }
        });
        block_on(poll_fn(|context| cell.poll_done(context)));
        let answer = block_on(poll_fn(|context| cell.poll(context)));
        assert!(matches!(answer, Ok(7)));
        runner.join().unwrap();
    });
}

/// Counts its drops.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn an_awaiter_that_leaves_drops_work_and_answer_once() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(Cell::<Dropped, Dropped>::new(Dropped(drops.clone())));
        let runner = thread::spawn({
            let cell = cell.clone();
            move || {
                if let Some(work) = cell.start() {
                    cell.finish(Ok(work));
                } else {
                    cell.finish(Err(Fault::Cancelled));
                }
            }
        });
        cell.leave();
        runner.join().unwrap();
        assert_eq!(drops.load(SeqCst), 1);
    });
}
