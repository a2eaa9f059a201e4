use super::*;

fn results() -> (Vec<String>, Results) {
    let mut results = Results::default();
    let rate = Metric::new("bulk, 1 stream", "throughput", "Gbit/s");
    for (round, direct, ambit) in [(0, 20.0, 5.0), (1, 22.0, 6.6)] {
        results.add(round, BASE, rate.clone(), direct);
        results.add(round, "ambit", rate.clone(), ambit);
    }
    results.fail("other", "bulk, 1 stream", &anyhow::anyhow!("it was cut"));
    (["direct", "ambit", "other"].map(str::to_owned).into(), results)
}

#[test]
fn the_table_shows_numbers_ratios_and_failures() {
    let (subjects, results) = results();
    let text = table(&subjects, &results);
    for want in [
        "bulk, 1 stream\n  throughput, Gbit/s\n",
        "direct       21.0 (20.0 .. 22.0)\n",
        "ambit        5.80 (5.00 .. 6.60)",
        "0.28 of direct (0.25 .. 0.30)",
        "no result of other for bulk, 1 stream: it was cut",
    ] {
        assert!(text.contains(want), "{want:?} in\n{text}");
    }
}

#[test]
fn the_file_can_be_read_back() {
    let (subjects, results) = results();
    let directory = std::env::temp_dir().join(format!("ambit-bench-{}", std::process::id()));
    let path = directory.join("latest.json");
    let conditions = Conditions {
        processors: 2,
        kernel: "6".to_owned(),
        processor: String::new(),
        rounds: 2,
        seconds: 0.5,
    };
    write_json(&path, &conditions, &subjects, &results).expect("it is written");
    let text = fs::read_to_string(&path).expect("it is there");
    let document: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let row = &document["results"][1];
    assert_eq!(row["subject"], "ambit");
    assert_eq!(row["median"], 5.8);
    assert_eq!(row["ratios"][0]["to"], "direct");
    assert_eq!(row["samples"][1]["value"], 6.6);
    assert_eq!(document["failures"][0]["subject"], "other");
    fs::remove_dir_all(&directory).expect("it is ours");
}

#[test]
fn numbers_have_three_digits_that_matter() {
    for (value, want) in
        [(12345.6, "12346"), (99.96, "100.0"), (5.678, "5.68"), (0.1234, "0.123"), (0.0, "0.00")]
    {
        assert_eq!(number(value), want);
    }
}
