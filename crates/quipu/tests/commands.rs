//! Every command as a person or a program would use it: what it prints, what it changes, how it exits.

mod support;

use std::fs;

use serde_json::Value;
use support::{Place, program, text};

fn three_documents() -> Place {
    let place = Place::new();
    place.write("bread.md", "# Sourdough\n\nFeed the starter with flour and water every day.\n");
    place.write("pump.txt", "When the heat pump's outdoor unit is covered in ice, run its defrost cycle.\n");
    place.write(
        "code/sort.rs",
        "/// Sorts by merging.\nfn merge_sort(values: &mut Vec<u32>) {\n    values.sort();\n}\n",
    );
    place
}

#[test]
fn a_question_finds_its_document_by_meaning_words_and_metadata() {
    let place = three_documents();
    let report = place.index(0);
    assert_eq!(report["files"]["indexed"], 3, "{report}");
    assert_eq!(report["run"]["indexed"], 3);
    assert_eq!(place.search(&["how do I keep yeast alive for baking"])[0], "bread.md");
    assert_eq!(place.search(&["--mode", "vector", "frozen heating system"])[0], "pump.txt");
    assert_eq!(place.search(&["--mode", "text", "merging"]), ["code/sort.rs"]);
    assert_eq!(place.search(&["water", "--where", "ext = 'rs'"]), ["code/sort.rs"]);
    assert_eq!(place.search(&["\"defrost cycle\""]), ["pump.txt"]);
}

#[test]
fn json_of_a_hit_has_every_field() {
    let place = three_documents();
    place.index(0);
    let found = place.json(0, &["search", "feed the starter"]);
    let hit = &found["hits"][0];
    for field in ["score", "path", "title", "snippet", "range", "lines", "page", "heading", "metadata"] {
        assert!(hit.get(field).is_some(), "{field} in {hit}");
    }
    assert!(found["took_ms"].is_number());
    assert_eq!(hit["title"], "Sourdough");
    assert_eq!(hit["heading"], "Sourdough");
    assert_eq!(hit["lines"], serde_json::json!([1, 3]));
    let (from, to) =
        (hit["range"][0].as_u64().expect("a number"), hit["range"][1].as_u64().expect("a number"));
    let text = fs::read_to_string(place.files().join("bread.md")).expect("the file");
    assert!(text[from as usize..to as usize].contains("Feed the starter"));
}

#[test]
fn the_second_run_takes_only_what_changed() {
    let place = three_documents();
    place.index(0);
    // A file written just before it was indexed is looked at once more; from then on it costs a stat.
    place.index(0);
    let report = place.index(0);
    assert_eq!((&report["run"]["unchanged"], &report["run"]["indexed"]), (&3.into(), &0.into()), "{report}");
    place.write("pump.txt", "The pump hums a different tune about marmalade now.\n");
    place.write("new.txt", "A note on geraniums.\n");
    fs::remove_file(place.files().join("code/sort.rs")).expect("it was there");
    let report = place.index(0);
    assert_eq!((&report["run"]["indexed"], &report["run"]["removed"]), (&2.into(), &1.into()), "{report}");
    assert_eq!(report["files"]["indexed"], 3);
    assert_eq!(place.search(&["--mode", "text", "marmalade"]), ["pump.txt"]);
    assert!(place.search(&["--mode", "text", "merging"]).is_empty());
    assert!(place.search(&["--mode", "text", "defrost"]).is_empty());
}

#[test]
fn without_paths_the_remembered_folders_are_refreshed() {
    let place = three_documents();
    place.index(0);
    place.write("new.txt", "A note on geraniums.\n");
    let report = place.json(0, &["index"]);
    assert_eq!(report["run"]["indexed"], 1, "{report}");
    let empty = Place::new();
    let output = empty.run(&["index"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("quipu index FOLDER"), "{}", text(&output));
}

#[test]
fn known_content_under_a_new_name_is_copied() {
    let place = three_documents();
    place.index(0);
    fs::rename(place.files().join("bread.md"), place.files().join("loaf.md")).expect("renamed");
    let report = place.index(0);
    assert_eq!((&report["run"]["copied"], &report["run"]["embedded"]), (&1.into(), &0.into()), "{report}");
    assert_eq!(place.search(&["feed the starter"])[0], "loaf.md");
    assert_eq!(report["files"]["indexed"], 3);
}

#[test]
fn an_edit_embeds_only_the_chunks_that_changed() {
    let place = Place::new();
    let section =
        |name: &str| format!("## {name}\n\n{}\n\n", format!("Plain words on {name} and more. ").repeat(25));
    place.write("long.md", format!("{}{}{}", section("rye"), section("wheat"), section("oats")));
    let first = place.index(0);
    assert!(first["run"]["embedded"].as_u64() >= Some(3), "{first}");
    place.write("long.md", format!("{}{}{}", section("rye"), section("barley"), section("oats")));
    let second = place.index(0);
    assert_eq!(second["run"]["chunks"], first["run"]["chunks"]);
    assert!(second["run"]["embedded"].as_u64() < first["run"]["embedded"].as_u64(), "{second}");
    assert_eq!(place.search(&["--mode", "text", "barley"]), ["long.md"]);
    assert!(place.search(&["--mode", "text", "wheat"]).is_empty());
}

#[test]
fn a_root_that_is_missing_or_empty_removes_nothing_until_pruned() {
    let place = three_documents();
    place.index(0);
    let away = place.files().with_file_name("away");
    fs::rename(place.files(), &away).expect("unmounted");
    let report = place.json(1, &["index"]);
    assert_eq!((&report["files"]["indexed"], &report["run"]["removed"]), (&3.into(), &0.into()), "{report}");
    assert!(report["problems"][0].as_str().is_some_and(|problem| problem.contains("--prune")), "{report}");
    fs::create_dir(away.with_file_name("files")).expect("an empty mount point");
    let report = place.json(1, &["index"]);
    assert_eq!(report["files"]["indexed"], 3, "{report}");
    let report = place.json(0, &["index", "--prune"]);
    assert_eq!((&report["files"]["indexed"], &report["run"]["removed"]), (&0.into(), &3.into()), "{report}");
}

#[test]
fn bad_files_end_in_one_state_each_and_harm_nothing() {
    let place = three_documents();
    place.write("empty.txt", "");
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/documents/heat-pump.pdf");
    place.write("broken.pdf", &fs::read(manual).expect("an example")[..900]);
    place.write("broken.docx", "PK\u{3}\u{4}this is no zip");
    place.write("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0");
    place.write(".hidden.txt", "hidden");
    place.write("large.txt", "x ".repeat(40_000));
    #[cfg(unix)]
    std::os::unix::fs::symlink(place.files(), place.files().join("loop")).expect("a link");
    let files = place.files();
    let report = place.json(1, &["index", files.to_str().expect("UTF-8"), "--max-file-size", "64K"]);
    let states = &report["files"];
    assert_eq!((&states["indexed"], &states["pending"]), (&3.into(), &0.into()), "{report}");
    let failed: Vec<&str> = report["failures"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| f["path"].as_str().expect("a path"))
        .collect();
    assert!(failed.iter().any(|path| path.ends_with("broken.pdf")), "{report}");
    let seen = states["failed"].as_u64().expect("a count") + states["skipped"].as_u64().expect("a count");
    assert_eq!(seen, 7, "{report}");
    // The same again: nothing is tried anew, and the exit code still says that something failed.
    let again = |more: &[&str]| place.json(1, &[&["index", "--max-file-size", "64K"], more].concat());
    again(&[]);
    assert_eq!(again(&[])["run"]["failed"], 0);
    assert_eq!(again(&["--retry-failed"])["run"]["failed"], states["failed"]);
    let status = place.json(1, &["status"]);
    assert_eq!(&status["files"], states);
}

#[test]
fn a_rebuild_takes_in_every_remembered_folder_and_harms_nothing_when_mistyped() {
    let place = three_documents();
    place.index(0);
    let (code, typo) = (place.files().join("code"), place.files().join("cod"));
    assert_eq!(place.run(&["index", "--rebuild", typo.to_str().expect("UTF-8")]).status.code(), Some(3));
    assert_eq!(place.json(0, &["status"])["files"]["indexed"], 3);
    let report = place.json(0, &["index", "--rebuild", code.to_str().expect("UTF-8")]);
    assert_eq!((&report["files"]["indexed"], &report["run"]["indexed"]), (&3.into(), &3.into()), "{report}");
}

#[test]
fn an_empty_folder_is_a_counted_end() {
    let place = Place::new();
    let report = place.index(0);
    assert_eq!(report["files"]["indexed"], 0);
    assert!(place.search(&["anything"]).is_empty());
}

#[test]
fn forget_takes_out_a_file_or_a_folder() {
    let place = three_documents();
    place.index(0);
    let code = place.files().join("code");
    place.json(0, &["forget", code.to_str().expect("UTF-8")]);
    assert_eq!(place.json(0, &["status"])["files"]["indexed"], 2);
    assert!(place.search(&["--mode", "text", "merging"]).is_empty());
    // What is gone already can be forgotten too, by whatever way it is named.
    fs::remove_file(place.files().join("pump.txt")).expect("it was there");
    let forgotten = place.json(0, &["forget", "files/code/../pump.txt"]);
    assert_eq!(forgotten[0]["paths_removed"], 1, "{forgotten}");
    place.write("pump.txt", "When the heat pump's outdoor unit is covered in ice, run its defrost cycle.\n");
    place.index(0);
    place.json(0, &["forget", code.to_str().expect("UTF-8")]);
    let verdict = place.json(0, &["verify"]);
    assert_eq!((&verdict["discrepancies_total"], &verdict["documents"]), (&0.into(), &2.into()));
}

#[test]
fn a_broken_condition_points_at_its_place_and_lists_the_columns() {
    let place = three_documents();
    place.index(0);
    let output = place.run(&["search", "bread", "--where", "exst = 'pdf'"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let message = text(&output);
    assert!(message.contains("exst") && message.contains('^') && message.contains("modified"), "{message}");
}

#[test]
fn usage_errors_exit_with_two_and_a_missing_index_with_three() {
    let place = Place::new();
    assert_eq!(place.run(&["search"]).status.code(), Some(2));
    assert_eq!(place.run(&["index", "--memory", "lots", "."]).status.code(), Some(2));
    assert_eq!(place.run(&["frobnicate"]).status.code(), Some(2));
    let output = place.run(&["search", "anything"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("quipu index"), "{}", text(&output));
    assert_eq!(place.run(&["index", "nowhere"]).status.code(), Some(3));
}

#[test]
fn init_makes_an_index_that_is_found_from_below() {
    let place = three_documents();
    let run = |arguments: &[&str], folder: &str| {
        let output =
            program().args(arguments).current_dir(place.files().join(folder)).output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output));
        text(&output)
    };
    assert!(run(&["init"], "").contains(".quipu"));
    run(&["index", "."], "");
    assert!(run(&["search", "sourdough"], "code").contains("bread.md"));
    assert!(run(&["status"], "code").contains(".quipu"));
}

#[test]
fn explain_shows_the_pipeline_without_an_index() {
    let output = Place::new().run(&["explain"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for stage in ["walk", "read", "worker", "extract", "chunk", "recall", "embed", "write", "mermaid"] {
        assert!(text(&output).contains(stage), "{stage} in {}", text(&output));
    }
}

#[test]
fn a_model_without_a_tensor_is_refused_by_name() {
    let place = three_documents();
    let folder = place.files().with_file_name("model");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("config.json"), "{}").expect("a file");
    let output = place.run(&["index", "files", "--model", folder.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("model"), "{}", text(&output));
}

#[test]
fn models_are_listed_verified_and_measured() {
    let place = Place::new();
    let models = place.json(0, &["model", "list"]);
    assert_eq!(models[0]["name"], "all-MiniLM-L6-v2");
    assert_eq!(models[0]["files"].as_array().expect("files").len(), 6);

    let model = place.model("gte");
    let model = model.to_str().expect("UTF-8");
    let verdict = place.json(0, &["model", "verify", model, "--kernel", "f32-portable"]);
    assert_eq!((&verdict["well"], &verdict["registered"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!((&verdict["kernel"], &verdict["dimensions"]), (&"f32-portable".into(), &64.into()));
    let verdict = place.run(&["model", "verify", "--model", model]);
    assert!(text(&verdict).contains("\nwell\n"), "{}", text(&verdict));

    let measured = place.json(0, &["model", "bench", model]);
    let kernels = measured["kernels"].as_array().expect("kernels");
    assert_eq!(kernels.iter().filter(|kernel| kernel["in_use"] == true).count(), 1);
    assert!(kernels.iter().all(|kernel| kernel["rates"][0]["tokens_per_second"].as_f64() > Some(0.0)));
}

#[test]
fn a_model_that_is_not_well_exits_with_one() {
    let place = Place::new();
    let model = place.model("cls");
    fs::write(model.join("model.safetensors"), "no weights").expect("a file");
    let verdict = place.json(1, &["model", "verify", model.to_str().expect("UTF-8")]);
    assert_eq!(verdict["well"], false);
    assert!(verdict["problems"][0].as_str().expect("a problem").contains("model.safetensors"), "{verdict}");
}

#[test]
fn a_kernel_that_this_machine_lacks_is_a_usage_error_that_lists_those_it_has() {
    let place = Place::new();
    let output = place.run(&["search", "bread", "--kernel", "f32-abacus"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("int8-portable, f32-portable"), "{}", text(&output));
    let output = place.command(&["status"]).env("QUIPU_KERNEL", "f32-abacus").output().expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

#[test]
fn one_kernel_finds_what_another_indexed() {
    let place = three_documents();
    place.json(0, &["index", "files", "--kernel", "f32-portable"]);
    assert_eq!(place.search(&["sourdough", "--kernel", "int8-portable"])[0], "bread.md");
}
