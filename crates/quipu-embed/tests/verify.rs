//! What `verify` and `measure` say of models that are well, and of those that are not.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use quipu_embed::model::{self, FileState, Settings};
use quipu_embed::verify::{Verdict, verify};
use quipu_embed::{Kernel, measure};
use support::{Copy, WEIGHTS, real_model};

fn check(model: &Path) -> Verdict {
    verify(&Settings::from_environment(), model.to_str(), Kernel::best()).unwrap()
}

#[test]
fn the_registered_model_is_well_on_every_kernel() {
    if real_model().is_none() {
        return;
    }
    for kernel in Kernel::available() {
        let verdict = verify(&Settings::from_environment(), None, kernel).unwrap();
        assert!(verdict.is_well() && verdict.warnings.is_empty(), "{verdict:?}");
        assert!(verdict.registered && verdict.files.iter().all(|file| file.state == FileState::Right));
        let comparison = verdict.comparison.unwrap();
        assert_eq!((comparison.kernel, comparison.against), (kernel.name(), "sentence-transformers"));
        assert_eq!((verdict.dimensions, verdict.tokens_max), (Some(384), Some(256)));
        assert_eq!(verdict.licence.as_deref(), Some("Apache-2.0"));
    }
}

#[test]
fn a_registered_model_whose_files_changed_is_not_well() {
    let Some(real) = real_model() else { return };
    let mut settings = Settings::from_environment();
    let cache = tempfile::tempdir().unwrap();
    settings.cache = cache.path().into();
    settings.offline = true;
    let folder = cache.path().join(model::DEFAULT);
    support::copy_files(&real, &folder);
    let problems = || verify(&settings, None, Kernel::portable()).unwrap().problems;
    assert_eq!(problems(), Vec::<String>::new());

    let mut weights = std::fs::read(folder.join(WEIGHTS)).unwrap();
    let middle = weights.len() / 2;
    weights[middle..].reverse();
    std::fs::write(folder.join(WEIGHTS), weights).unwrap();
    std::fs::remove_file(folder.join("sentence_bert_config.json")).unwrap();
    let problems = problems().join("; ");
    for expected in ["model.safetensors is not", "sentence_bert_config.json cannot"] {
        assert!(problems.contains(expected), "{problems}");
    }
    assert!(verify(&settings, Some("no-such-model"), Kernel::portable()).is_err());
}

#[test]
fn a_folder_is_held_against_itself_in_f32() {
    let copy = Copy::of("gte");
    let verdict = check(copy.path());
    assert!(verdict.is_well() && !verdict.registered, "{verdict:?}");
    assert!(verdict.files.iter().any(|file| file.path == WEIGHTS && file.state == FileState::Unregistered));
    assert_eq!(verdict.configuration.unwrap().len(), 64);
    let comparison = verdict.comparison.unwrap();
    assert!(comparison.mean > 0.99 && comparison.against.starts_with("f32-"), "{comparison:?}");
    let exact = verify(&Settings::from_environment(), copy.path().to_str(), Kernel::portable()).unwrap();
    let comparison = exact.comparison.unwrap();
    assert!(comparison.kernel.starts_with("int8-") && comparison.against == "f32-portable", "{comparison:?}");
}

#[test]
fn a_folder_that_cannot_be_loaded_is_not_well_and_says_why() {
    let copy = Copy::of("cls");
    copy.configure("model_type", "\"roberta\"");
    let verdict = check(copy.path());
    assert!(!verdict.is_well() && verdict.dimensions.is_none());
    assert!(verdict.problems[0].contains("roberta"), "{verdict:?}");
}

/// Figures are only looked at for being some: how fast this machine is, is no test.
#[test]
fn every_length_is_measured_on_one_thread_and_on_all() {
    for (shape, lengths) in [("long", &[33, 241][..]), ("cls", &[33, 48])] {
        let speed = measure::speed(Copy::of(shape).path(), Kernel::best()).unwrap();
        let measured: Vec<usize> =
            speed.rates.iter().filter(|rate| rate.threads == 1).map(|rate| rate.tokens).collect();
        assert_eq!(measured, lengths);
        assert!(speed.rates.iter().all(|rate| rate.tokens_per_second > 0.0), "{speed:?}");
        assert!(speed.load_ms > 0.0 && speed.query_ms > 0.0);
    }
}
