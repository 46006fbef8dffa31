//! What `cargo xtask bench embed` tells this program, and this program its workers.

use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::without::Without;

/// What to measure, and with which files.
#[derive(Clone)]
pub(crate) struct Arguments {
    /// Few repetitions, and no portable kernels: two to three minutes.
    pub(crate) quick: bool,
    /// One JSON document instead of tables.
    pub(crate) json: bool,
    /// Contestants whose name contains this.
    pub(crate) only: Option<String>,
    /// What a contestant may read.
    pub(crate) places: Places,
    /// Serve requests as this contestant, in a process of its own.
    pub(crate) worker: Option<String>,
}

/// Where files lie, or why they do not: then the rows that need them say so. And what all contestants go without.
#[derive(Clone)]
pub(crate) struct Places {
    /// The model's folder, as sentence-transformers writes it.
    pub(crate) model: PathBuf,
    /// The folder with what `onnx/export.py` wrote.
    pub(crate) onnx: Result<PathBuf, String>,
    /// onnxruntime's shared library.
    pub(crate) onnxruntime: Result<PathBuf, String>,
    /// Peers that were not built, with the reason.
    pub(crate) unbuilt: Vec<(String, String)>,
    /// What of this machine nobody may use.
    pub(crate) without: Option<Without>,
}

impl Arguments {
    pub(crate) fn of_process() -> anyhow::Result<Self> {
        let mut given = std::env::args().skip(1);
        let by_xtask = || "run by `cargo xtask bench embed`".to_owned();
        let places = Places {
            model: PathBuf::new(),
            onnx: Err(by_xtask()),
            onnxruntime: Err(by_xtask()),
            unbuilt: Vec::new(),
            without: None,
        };
        let mut arguments = Self { quick: false, json: false, only: None, places, worker: None };
        let places = &mut arguments.places;
        while let Some(name) = given.next() {
            let mut value = || given.next().with_context(|| format!("`{name}` needs a value"));
            match name.as_str() {
                "--quick" => arguments.quick = true,
                "--json" => arguments.json = true,
                "--only" => arguments.only = Some(value()?),
                "--worker" => arguments.worker = Some(value()?),
                "--model" => places.model = value()?.into(),
                "--onnx" => places.onnx = Ok(value()?.into()),
                "--without-onnx" => places.onnx = Err(value()?),
                "--onnxruntime" => places.onnxruntime = Ok(value()?.into()),
                "--without-onnxruntime" => places.onnxruntime = Err(value()?),
                "--without" => places.without = Some(Without::named(&value()?)?),
                "--unbuilt" => places.unbuilt.push((value()?, value()?)),
                _ => bail!("`{name}` is no option of this program"),
            }
        }
        if places.model.as_os_str().is_empty() {
            bail!("`--model` is missing: the folder of the model");
        }
        Ok(arguments)
    }
}

impl Places {
    /// The arguments that give a worker the same places.
    pub(crate) fn as_arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments = vec!["--model".into(), self.model.clone().into()];
        for (name, place) in [("onnx", &self.onnx), ("onnxruntime", &self.onnxruntime)] {
            match place {
                Ok(path) => arguments.extend([format!("--{name}").into(), path.clone().into()]),
                Err(why) => arguments.extend([format!("--without-{name}").into(), why.into()]),
            }
        }
        for (name, why) in &self.unbuilt {
            arguments.extend(["--unbuilt".into(), name.into(), why.into()]);
        }
        arguments
            .extend(self.without.into_iter().flat_map(|without| ["--without".into(), without.name().into()]));
        arguments
    }
}
