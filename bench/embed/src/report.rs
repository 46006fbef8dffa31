//! What was measured, for people ([`print`](crate::print)) or as one JSON document.

use quipu_embed::Kernel;
use serde::Serialize;

use crate::arguments::Arguments;
use crate::machine::Machine;
use crate::protocol::{Cosines, Pass};
use crate::texts::Profile;
use crate::without::Without;

/// Packages whose versions a figure depends on, as our lock file pins them.
const VERSIONS: [&str; 6] = ["quipu-embed", "ort", "rten", "candle-core", "fastembed", "tokenizers"];
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// Everything of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) compiler: String,
    pub(crate) versions: Vec<String>,
    pub(crate) quick: bool,
    /// What was hidden from all.
    pub(crate) without: Option<Without>,
    /// Of the model's file.
    pub(crate) weights_bytes: Option<u64>,
    pub(crate) ceilings: Vec<Ceiling>,
    pub(crate) rows: Vec<Row>,
    pub(crate) mixed: Vec<Mixed>,
    /// For the fastest of ours.
    pub(crate) goals: Vec<Goal>,
}

/// What one core can do with nothing but registers, by a kernel's instructions.
#[derive(Serialize)]
pub(crate) struct Ceiling {
    pub(crate) kernel: &'static str,
    /// 10⁹ operations a second, multiplications and additions counted apart: the best of several.
    pub(crate) gops: f64,
}

/// A contestant on batches.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Why there are no figures.
    pub(crate) missing: Option<String>,
    pub(crate) cosines: Option<Cosines>,
    pub(crate) speeds: Vec<Speed>,
    pub(crate) alone: Option<Alone>,
}

/// On one profile, in tokens per CPU-second.
#[derive(Serialize)]
pub(crate) struct Speed {
    pub(crate) profile: Profile,
    pub(crate) best: f64,
    pub(crate) median: f64,
    /// Tokens of a batch.
    pub(crate) budget: usize,
    /// Tokens computed for nothing, beside those asked for.
    pub(crate) padding: f64,
    /// 10⁹ operations a second that the model needs, at the best speed.
    pub(crate) gops: f64,
    /// That, as a share of what the registers reach.
    pub(crate) of_ceiling: Option<f64>,
    /// Two at once, added up.
    pub(crate) two_processes: f64,
    pub(crate) two_threads: Option<f64>,
}

/// In a fresh process.
#[derive(Serialize)]
pub(crate) struct Alone {
    /// From the start of the process to the first vector.
    pub(crate) cold_start_s: f64,
    pub(crate) peak_bytes: Option<u64>,
    /// Ten words to a vector.
    pub(crate) query_s: f64,
}

/// A library on texts of mixed lengths, with two cores.
#[derive(Serialize)]
pub(crate) struct Mixed {
    pub(crate) name: String,
    pub(crate) missing: Option<String>,
    pub(crate) cosines: Option<Cosines>,
    /// Tokens per second of the time of day, the best of all passes.
    pub(crate) per_second: f64,
    /// Tokens per CPU-second.
    pub(crate) per_cpu_second: f64,
}

/// What shall hold, and what came out.
#[derive(Serialize)]
pub(crate) struct Goal {
    pub(crate) name: String,
    pub(crate) found: f64,
    pub(crate) goal: f64,
    pub(crate) unit: &'static str,
    pub(crate) reached: bool,
}

impl Report {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let lock = include_str!("../Cargo.lock");
        let mut versions: Vec<String> = VERSIONS.iter().filter_map(|name| version(lock, name)).collect();
        let library = arguments.places.onnxruntime.as_ref().ok();
        let library = library.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        versions.extend(library.and_then(|name| Some(format!("onnxruntime {}", name.split_once(".so.")?.1))));
        let compiler = std::process::Command::new("rustc").arg("--version").output();
        let said = compiler.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self {
            machine: Machine::here(),
            compiler: said.unwrap_or_default(),
            versions,
            quick: arguments.quick,
            without: arguments.places.without,
            weights_bytes: crate::measure::weights_bytes(&arguments.places.model),
            ceilings: Vec::new(),
            rows: Vec::new(),
            mixed: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// Measures what bounds our kernels, and keeps the better figure where one is known.
    pub(crate) fn measure_ceilings(&mut self) {
        for kernel in Kernel::available() {
            let Some(gops) = kernel.ceiling() else { continue };
            match self.ceilings.iter_mut().find(|ceiling| ceiling.kernel == kernel.name()) {
                Some(ceiling) => ceiling.gops = ceiling.gops.max(gops),
                None => self.ceilings.push(Ceiling { kernel: kernel.name(), gops }),
            }
        }
    }

    /// What bounds a contestant, in 10⁹ operations a second: our kernel's own instructions, or the best for a peer's numbers.
    pub(crate) fn ceiling_of(&self, name: &str) -> Option<f64> {
        let (family, form) = name.rsplit_once(' ')?;
        let fits = |ceiling: &&Ceiling| match family {
            "ours" => ceiling.kernel == form,
            _ => ceiling.kernel.starts_with(form),
        };
        self.ceilings.iter().filter(fits).map(|ceiling| ceiling.gops).max_by(f64::total_cmp)
    }

    /// Our kernel that is fastest on long texts: what a user would have.
    pub(crate) fn fastest_of_ours(&self) -> Option<&Row> {
        let measured = self.rows.iter().filter(|row| row.is_ours() && row.missing.is_none());
        measured.max_by(|a, b| a.best(Profile::Long).total_cmp(&b.best(Profile::Long)))
    }

    /// The fastest peer's speed.
    pub(crate) fn best_peer(&self, profile: Profile) -> Option<f64> {
        let speeds = self.rows.iter().filter(|row| !row.is_ours()).map(|row| row.best(profile));
        speeds.filter(|&speed| speed > 0.0).max_by(f64::total_cmp)
    }

    /// What shall hold of the fastest of ours, as far as it was measured.
    pub(crate) fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        let Some(fastest) = self.fastest_of_ours() else { return goals };
        let mut add = |name: String, found: f64, goal: f64, unit, less: bool| {
            let reached = if less { found <= goal } else { found >= goal };
            goals.push(Goal { name, found, goal, unit, reached });
        };
        let wanted = Profile::ALL.into_iter().zip(times_peer(&fastest.name));
        for (profile, goal) in wanted {
            let Some(peer) = self.best_peer(profile) else { continue };
            let name = format!("{} tokens: times the best peer", profile.lengths().0);
            add(name, fastest.best(profile) / peer, goal, "×", false);
        }
        let row = |name: &str| self.rows.iter().find(|row| row.name == name && row.missing.is_none());
        let narrow = row("ours int8-avx2").filter(|_| fastest.name == "ours int8-avx512");
        if let (Some(ours), Some(peer)) = (narrow, row("onnxruntime int8")) {
            for (profile, goal) in Profile::ALL.into_iter().zip(times_peer(&ours.name)) {
                let name = format!("{} tokens: our AVX2 times onnxruntime's AVX-512", profile.lengths().0);
                add(name, ours.best(profile) / peer.best(profile), goal, "×", false);
            }
        }
        for speed in &fastest.speeds {
            let Some(threads) = speed.two_threads else { continue };
            let name = format!("{} tokens: two threads of two processes", speed.profile.lengths().0);
            add(name, 100.0 * threads / speed.two_processes, 95.0, "%", false);
        }
        let library = |name: &str| {
            let mut measured = self.mixed.iter().filter(|mixed| mixed.missing.is_none());
            measured.find(|mixed| mixed.name.starts_with(name))
        };
        if let (Some(ours), Some(peer)) = (library("all of ours"), library("fastembed f32")) {
            let name = "mixed lengths: times fastembed as its users call it".to_owned();
            add(name, ours.per_second / peer.per_second, 5.0, "×", false);
        }
        // To hide something takes time and memory of its own.
        let alone = fastest.alone.as_ref().filter(|_| self.without.is_none());
        if let (Some(alone), Some(weights)) = (alone, self.weights_bytes) {
            if let Some(peak) = alone.peak_bytes {
                let goal = weights as f64 / MEBIBYTE + 64.0;
                add(
                    "memory at peak: the model's file and 64 MiB".to_owned(),
                    peak as f64 / MEBIBYTE,
                    goal,
                    "MiB",
                    true,
                );
            }
            add(
                "start of the process to the first vector".to_owned(),
                alone.cold_start_s * 1e3,
                150.0,
                "ms",
                true,
            );
        }
        goals
    }
}

/// How many times as fast as the best peer a kernel shall be, on short and on long texts: by the class of machine whose
/// best kernel it is.
fn times_peer(name: &str) -> [f64; 2] {
    match name {
        name if name.starts_with("ours int8-vnni") => [1.6, 1.7],
        name if name.starts_with("ours int8-avx512") => [1.8, 1.65],
        name if name.starts_with("ours int8-avx2") => [1.2, 1.1],
        _ => [1.0, 1.0],
    }
}

impl Row {
    pub(crate) fn missing(name: String, why: &str) -> Self {
        Self { name, missing: Some(why.to_owned()), cosines: None, speeds: Vec::new(), alone: None }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.name.starts_with("ours")
    }

    fn best(&self, profile: Profile) -> f64 {
        let mut of_profile = self.speeds.iter().filter(|speed| speed.profile == profile);
        of_profile.next().map_or(0.0, |speed| speed.best)
    }
}

impl Mixed {
    pub(crate) fn new(name: String, cosines: Cosines) -> Self {
        Self { name, missing: None, cosines: Some(cosines), per_second: 0.0, per_cpu_second: 0.0 }
    }

    pub(crate) fn missing(name: String, why: &str) -> Self {
        Self { name, missing: Some(why.to_owned()), cosines: None, per_second: 0.0, per_cpu_second: 0.0 }
    }

    pub(crate) fn add(&mut self, pass: &Pass) {
        self.per_second = self.per_second.max(pass.tokens as f64 / pass.wall_s);
        self.per_cpu_second = self.per_cpu_second.max(pass.rate());
    }
}

/// "name version" of a package in a lock file.
fn version(lock: &str, name: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    let (version, _) = rest.split_once('"')?;
    Some(format!("{name} {version}"))
}
