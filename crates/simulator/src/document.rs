//! Reports as a document in Markdown, with their drawings beside it.

use std::path::{Path, PathBuf};

use crate::report::{Page, Report, SaveError, Table};

/// What stands at the top, after which seed and command are told.
const TITLE: &str = "# Security: what our rules withstand\n";
const OPENING: &str = "\
How the laboratory comes to such figures, and that it reproduces published ones, is in `docs/simulator.md`; what each experiment \
takes for granted is in the heads of the files in `crates/simulator/src/attack/ours`.

No figure here covers a rewriting of the far past. There is no proof of time: nothing in a proof of space says when it was made. \
Checkpoints stop it until there is finality.
";

/// The document, whose drawings lie in a directory `drawings` beside it.
#[must_use]
pub fn document(command: &str, drawings: &str, reports: &[Report]) -> String {
    let mut text = format!("{TITLE}\nWritten by `{command}`; not to be edited by hand. {OPENING}");
    for report in reports {
        if let Some(page) = &report.page {
            text.push_str(&section(drawings, report, page));
        }
    }
    text
}

fn section(drawings: &str, report: &Report, page: &Page) -> String {
    let name = report.experiment;
    let mut text = format!("\n## {}\n", page.heading);
    page.claims.iter().for_each(|claim| text.push_str(&format!("\n**{claim}**\n")));
    page.tables.iter().for_each(|shown| text.push_str(&format!("\n{}\n\n{}", shown.caption, table(shown))));
    text.push_str(&format!("\n![{}]({drawings}/{name}.svg)\n\nNot covered:\n\n", report.chart.y));
    page.limits.iter().for_each(|limit| text.push_str(&format!("- {limit}\n")));
    let good = report.measurements.iter().filter(|row| row.in_band).count();
    text.push_str(&format!(
        "\nExperiment `{name}`, seed {}, {} runs: {good} of {} figures in their bands.\n",
        report.seed,
        report.runs,
        report.measurements.len()
    ));
    text
}

fn table(table: &Table) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> =
        (0..table.columns.len()).map(|column| if column == 0 { "---" } else { "--:" }.to_owned()).collect();
    let rows: String = table.rows.iter().map(|row| line(row)).collect();
    format!("{}{}{rows}", line(&table.columns), line(&rule).replace(' ', ""))
}

/// Writes the document, and the drawings into a directory of its name; returns what was written.
///
/// # Errors
/// [`SaveError`].
pub fn write_document(path: &Path, command: &str, reports: &[Report]) -> Result<Vec<PathBuf>, SaveError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| SaveError::Io { path, source }
    };
    let drawings = path.with_extension("");
    std::fs::create_dir_all(&drawings).map_err(io(&drawings))?;
    let name = drawings.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut written = vec![path.to_owned()];
    for report in reports.iter().filter(|report| report.page.is_some()) {
        let drawing = drawings.join(format!("{}.svg", report.experiment));
        report.draw(&drawing)?;
        written.push(drawing);
    }
    std::fs::write(path, document(command, &name, reports)).map_err(io(path))?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Band, Chart, Measurement, Series};

    #[test]
    fn a_document_has_claim_table_drawing_and_limits() {
        let dir = tempfile::tempdir().unwrap();
        let shown = Table {
            caption: "Shares.".to_owned(),
            columns: vec!["rules".to_owned(), "share".to_owned()],
            rows: vec![vec!["ours".to_owned(), "45 %".to_owned()]],
        };
        let page = Page {
            heading: "Tolerance",
            claims: vec!["It holds.".to_owned()],
            tables: vec![shown],
            limits: vec!["The rest.".to_owned()],
        };
        let series = vec![Series { name: "a".to_owned(), points: vec![(0.0, 1.0), (1.0, 2.0)] }];
        let report = Report {
            experiment: "trial",
            seed: 1,
            runs: 2,
            measurements: vec![Measurement::exact("", "", 1.0, 1.0, Band::new(0.0, 2.0), "")],
            page: Some(page),
            notes: Vec::new(),
            chart: Chart { x: "x", y: "y", is_x_logarithmic: false, series },
        };
        let path = dir.path().join("security.md");
        let written = write_document(&path, "mass sim", &[report]).unwrap();
        assert_eq!(written.len(), 2);
        let text = std::fs::read_to_string(&path).unwrap();
        for part in [
            "## Tolerance\n\n**It holds.**\n",
            "| rules | share |\n|---|--:|\n| ours | 45 % |\n",
            "![y](security/trial.svg)",
            "- The rest.\n",
            "1 of 1 figures",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(dir.path().join("security/trial.svg").exists());
    }
}
