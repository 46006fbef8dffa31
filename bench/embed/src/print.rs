//! The report as text: what docs/embed-benchmarks.md records. Explanations are in its own words, one line at a time.

use crate::report::{Mixed, Report, Row};
use crate::texts::Profile;

pub(crate) fn print(report: &Report) {
    println!("{}", report.machine);
    if let Some(without) = report.without {
        println!("{} hidden from all: starting, and memory, include the hiding", without.name());
    }
    println!("{}", report.compiler);
    println!("{}", report.versions.join(", "));
    print_ceilings(report);
    for profile in Profile::ALL {
        print_profile(report, profile);
    }
    print_alone(report);
    print_mixed(report);
    print_goals(report);
}

fn print_ceilings(report: &Report) {
    println!("\nceilings: nothing but registers, one core, 10⁹ operations per second");
    for ceiling in &report.ceilings {
        println!("  {:<22}{:>8.0}", ceiling.kernel, ceiling.gops);
    }
}

fn print_profile(report: &Report, profile: Profile) {
    let (mean, spread) = profile.lengths();
    let (shortest, longest) = (mean - spread, mean + spread);
    println!(
        "\ntexts of {mean} tokens ({shortest} to {longest}): tokens per CPU-second, the best and the median pass;"
    );
    println!(
        "times the best peer; tokens of a batch, of each peer its best; padding; 10⁹ operations a second, and their"
    );
    println!("share of the ceiling; two at once, added up: two processes, two threads of one");
    let head = ["best", "median", "peer", "batch", "padding", "Gop/s", "ceiling", "2 proc.", "2 thr."];
    let head: String = head.iter().map(|name| format!("{name:>9}")).collect();
    println!("  {:<22}{head}", "");
    let peer = report.best_peer(profile);
    for row in &report.rows {
        let Some(speed) = row.speeds.iter().find(|speed| speed.profile == profile) else {
            print_missing(row);
            continue;
        };
        let cells = [
            format!("{:.0}", speed.best),
            format!("{:.0}", speed.median),
            or_dash(peer.map(|peer| format!("{:.2}×", speed.best / peer))),
            speed.budget.to_string(),
            format!("{:.1} %", 100.0 * speed.padding),
            format!("{:.0}", speed.gops),
            or_dash(speed.of_ceiling.map(|share| format!("{:.0} %", 100.0 * share))),
            format!("{:.0}", speed.two_processes),
            or_dash(speed.two_threads.map(|rate| format!("{rate:.0}"))),
        ];
        let cells: String = cells.iter().map(|cell| format!("{cell:>9}")).collect();
        println!("  {:<22}{cells}", row.name);
    }
}

fn print_alone(report: &Report) {
    println!(
        "\ncosine to sentence-transformers over the reference's texts, in batches; a fresh process: its most memory, and"
    );
    println!("from its start to the first vector; ten words to a vector, median");
    let head = ["mean", "least", "MiB", "start ms", "query ms"];
    let head: String = head.iter().map(|name| format!("{name:>10}")).collect();
    println!("  {:<22}{head}", "");
    for row in &report.rows {
        let (Some(cosines), Some(alone)) = (&row.cosines, &row.alone) else {
            print_missing(row);
            continue;
        };
        let mebibytes = alone.peak_bytes.map(|bytes| format!("{:.0}", bytes as f64 / f64::from(1 << 20)));
        let cells = [
            format!("{:.6}", cosines.mean),
            format!("{:.6}", cosines.min),
            or_dash(mebibytes),
            format!("{:.0}", alone.cold_start_s * 1e3),
            format!("{:.2}", alone.query_s * 1e3),
        ];
        let cells: String = cells.iter().map(|cell| format!("{cell:>10}")).collect();
        println!("  {:<22}{cells}", row.name);
    }
}

fn print_mixed(report: &Report) {
    println!(
        "\n256 texts of 8 to 250 tokens in no order, tokenising included, two cores: tokens per second and per CPU-second,"
    );
    println!(
        "the best pass; how many times as fast ours is; cosine, mean and least. fastembed as its users call it"
    );
    let ours = report.mixed.iter().find(|mixed| mixed.name.starts_with("all of ours"));
    for mixed in &report.mixed {
        if let Some(why) = &mixed.missing {
            println!("  {:<28}–   {why}", mixed.name);
            continue;
        }
        let times = ours.filter(|ours| !std::ptr::eq(*ours, mixed));
        let times = times.map(|ours: &Mixed| format!("{:.2}×", ours.per_second / mixed.per_second));
        let cosines = mixed.cosines.map(|found| format!("{:.6} ({:.6})", found.mean, found.min));
        let (wall, cpu) = (mixed.per_second, mixed.per_cpu_second);
        println!(
            "  {:<28}{wall:>8.0}{cpu:>9.0}{:>9}   {}",
            mixed.name,
            times.unwrap_or_default(),
            or_dash(cosines)
        );
    }
}

fn print_goals(report: &Report) {
    let Some(fastest) = report.fastest_of_ours() else { return };
    println!("\ngoals, for {}", fastest.name);
    for goal in &report.goals {
        let verdict = if goal.reached { "reached" } else { "missed" };
        let digits = if goal.goal < 10.0 { 2 } else { 0 };
        let (found, wanted, unit) = (goal.found, goal.goal, goal.unit);
        println!("  {:<54}{found:>8.digits$} {unit:<4} goal {wanted:.digits$}: {verdict}", goal.name);
    }
}

fn print_missing(row: &Row) {
    let why = row.missing.as_deref().unwrap_or("not measured");
    println!("  {:<22}{:>9}   {why}", row.name, "–");
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "–".to_owned())
}
