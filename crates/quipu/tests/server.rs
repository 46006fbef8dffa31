//! The program with `--embed-url`: index and search through a server, as a person would.

#[path = "../../quipu-index/tests/support/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "the other half is for runs of the library")]
mod server;
mod support;

use std::process::Output;
use std::sync::Arc;

use quipu_embed::{Encoder, model};
use server::{Manner, Server};
use support::{Place, text};

fn serve(manners: Vec<Manner>) -> Server {
    let located =
        model::locate(&model::Settings::from_environment(), None).expect("the model is found or fetched");
    Server::start(Arc::new(Encoder::load(&located.folder).expect("the model loads")), manners)
}

fn three_documents() -> Place {
    let place = Place::new();
    place.write("bread.md", "# Sourdough\n\nFeed the starter with flour and water every day.\n");
    place.write("pump.txt", "When the heat pump's outdoor unit is covered in ice, run its defrost cycle.\n");
    place.write("sort.rs", "/// Sorts by merging.\nfn merge_sort(values: &mut Vec<u32>) {}\n");
    place
}

/// The output of a run that ended with `code`.
fn run(place: &Place, code: i32, arguments: &[&str]) -> Output {
    let output = place.run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}", text(&output));
    output
}

#[test]
fn what_a_server_embeds_is_found_through_it_and_not_mixed() {
    let place = three_documents();
    let server = serve(Vec::new());
    let (files, url) = (place.files(), server.url.as_str());
    let files = files.to_str().expect("UTF-8");
    let report = place.json(0, &["index", files, "--embed-url", url]);
    assert_eq!((&report["files"]["indexed"], &report["run"]["embedded"]), (&3.into(), &3.into()), "{report}");
    assert_eq!(report["embedding"]["core_seconds"], 0.0, "{report}");
    assert_eq!(place.search(&["frozen heating system", "--embed-url", url])[0], "pump.txt");
    assert!(text(&run(&place, 0, &["status"])).contains("all-MiniLM-L6-v2 (by an endpoint)"));
    // Words need no vector, and no server.
    assert_eq!(place.search(&["--mode", "text", "merging"]), ["sort.rs"]);
    for arguments in [&["search", "ice"][..], &["index"]] {
        let said = text(&run(&place, 3, arguments));
        assert!(said.contains("by an endpoint") && said.contains("--rebuild"), "{said}");
    }
}

#[test]
fn the_key_comes_from_the_environment_and_is_shown_nowhere() {
    let place = three_documents();
    let server = serve(vec![Manner::Status(401, "")]);
    let files = place.files();
    let with_key = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("QUIPU_EMBED_URL", &server.url).env("QUIPU_EMBED_KEY", "open-sesame");
        command.output().expect("the program starts")
    };
    let refused = with_key(&["index", files.to_str().expect("UTF-8")]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    assert!(text(&refused).contains("QUIPU_EMBED_KEY"), "{}", text(&refused));
    assert!(!place.db().exists(), "nothing is made for an endpoint that refuses");
    let output = with_key(&["index", files.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let shown = [refused, output, with_key(&["search", "ice"])];
    assert!(shown.iter().all(|output| !text(output).contains("open-sesame")));
    assert!(server.calls().iter().all(|call| call.authorization.as_deref() == Some("Bearer open-sesame")));
}

#[test]
fn an_endpoint_that_is_not_there_is_an_error_that_says_what_to_look_at() {
    let place = three_documents();
    place.index(0);
    let (files, nobody) = (place.files(), Server::nobody());
    let rebuild = ["index", files.to_str().expect("UTF-8"), "--rebuild", "--embed-url", &nobody];
    let said = text(&run(&place, 3, &rebuild));
    assert!(said.contains(&nobody) && said.contains("is the server running"), "{said}");
    assert_eq!(place.search(&["--mode", "text", "merging"]), ["sort.rs"], "nothing was emptied");
    for wrong in ["no address", "ftp://host/", "http://user:key@host/"] {
        let said = text(&run(&place, 3, &["index", "--embed-url", wrong]));
        assert!(said.contains("cannot be used"), "{said}");
    }
    run(&place, 2, &["index", "--embed-url", &nobody, "--embed-rate", "0"]);
}

#[test]
fn explain_shows_the_calls_where_a_server_embeds() {
    let place = Place::new();
    let cores = text(&run(&place, 0, &["explain"]));
    assert!(cores.contains("embed (map_batch)") && !cores.contains("embed (io)"), "{cores}");
    let arguments = ["explain", "--embed-url", "http://nobody.invalid/v1/embeddings", "--embed-rate", "4"];
    let calls = text(&run(&place, 0, &arguments));
    for part in ["embed (io)", "≤ 1 starts in 250ms", "4 retries", "embed alone (io)", "judge (io)"] {
        assert!(calls.contains(part), "{part}: {calls}");
    }
    assert!(!calls.contains("map_batch"), "{calls}");
}

#[test]
fn a_run_on_cores_says_how_well_the_model_was_used() {
    let place = three_documents();
    let report = place.index(0);
    let figures = &report["embedding"];
    assert_eq!(figures["padding"], 0.0, "{report}");
    assert!(
        figures["core_seconds"].as_f64() > Some(0.0)
            && figures["tokens_per_core_second"].as_f64() > Some(0.0)
    );
    assert!(figures["gops_per_core_second"].as_f64() > Some(0.0), "{report}");
    // Kernels whose instructions are the compiler's have no peak; and one that is measured is never reached.
    assert!(figures["share_of_peak"].as_f64() < Some(1.5), "{report}");
    place.write("more.txt", "a few more words");
    let said = text(&run(&place, 0, &["index"]));
    assert!(said.contains("the model: ") && said.contains("padding 0.0 %"), "{said}");
}
