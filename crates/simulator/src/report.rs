//! What an experiment found: figures beside those expected, curves, and the verdict. Saved as CSV and SVG.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{chart, statistics::Sample};

/// Standard errors that chance is granted; beyond lie 6 in 100,000 runs.
const ERRORS_GRANTED: f64 = 4.0;

/// Where a true value must lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Band {
    low: f64,
    high: f64,
}

impl Band {
    /// From one value to another.
    #[must_use]
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// What rounds to `expected` in its last digit, that is `unit`.
    #[must_use]
    pub fn rounded(expected: f64, unit: f64) -> Self {
        Self { low: expected - 0.5001 * unit, high: expected + 0.5001 * unit }
    }

    /// From `low` to `high` of the expected value, both as shares of it: `(-0.02, 0.01)` is 2 % below to 1 % above.
    #[must_use]
    pub fn relative(expected: f64, low: f64, high: f64) -> Self {
        Self { low: expected * (1.0 + low), high: expected * (1.0 + high) }
    }
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The setting, as "c = 128".
    pub case: String,
    /// What is measured, and how.
    pub quantity: &'static str,
    /// The figure found.
    pub measured: f64,
    /// Its standard error; 0 if no chance is in it.
    pub error: f64,
    /// The figure that it should be.
    pub expected: f64,
    /// Where it must lie, but for chance.
    pub band: Band,
    /// Where the expected figure comes from.
    pub source: &'static str,
    /// Whether it lies there.
    pub in_band: bool,
}

impl Measurement {
    /// A figure without chance.
    #[must_use]
    pub fn exact(
        case: impl Into<String>,
        quantity: &'static str,
        measured: f64,
        expected: f64,
        band: Band,
        source: &'static str,
    ) -> Self {
        Self::with_error(case, quantity, (measured, 0.0), expected, band, source)
    }

    /// The mean of a sample.
    pub(crate) fn sampled(
        case: impl Into<String>,
        quantity: &'static str,
        sample: &Sample,
        expected: f64,
        band: Band,
        source: &'static str,
    ) -> Self {
        Self::with_error(case, quantity, (sample.mean(), sample.error()), expected, band, source)
    }

    /// A figure and its standard error.
    #[must_use]
    pub fn with_error(
        case: impl Into<String>,
        quantity: &'static str,
        (measured, error): (f64, f64),
        expected: f64,
        band: Band,
        source: &'static str,
    ) -> Self {
        let chance = ERRORS_GRANTED * error;
        // Written so that what is not a number is out of band.
        let in_band = measured + chance >= band.low && measured - chance <= band.high;
        Self { case: case.into(), quantity, measured, error, expected, band, source, in_band }
    }
}

/// A curve.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// What it shows.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A drawing.
#[derive(Clone, Debug, Serialize)]
pub struct Chart {
    /// What goes to the right.
    pub x: &'static str,
    /// What goes up.
    pub y: &'static str,
    /// Whether steps to the right are factors.
    pub is_x_logarithmic: bool,
    /// The curves.
    pub series: Vec<Series>,
}

/// A table for people.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Heads of the columns; the first column has words, the others figures.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// What a document says of an experiment.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// Its heading.
    pub heading: &'static str,
    /// What we claim.
    pub claims: Vec<String>,
    /// The figures behind that.
    pub tables: Vec<Table>,
    /// What the claim does not cover.
    pub limits: Vec<String>,
}

/// What an experiment found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The experiment.
    pub experiment: &'static str,
    /// The seed that it ran from.
    pub seed: u64,
    /// How many times each case was run.
    pub runs: u32,
    /// The figures.
    pub measurements: Vec<Measurement>,
    /// What a document says of it, if it is for one.
    pub page: Option<Page>,
    /// What must be known to read them.
    pub notes: Vec<String>,
    /// The drawing.
    pub chart: Chart,
}

/// Why a report could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// What was written.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A table could not be written.
    #[error("{}: {source}", .path.display())]
    Csv {
        /// What was written.
        path: PathBuf,
        /// Why not.
        source: csv::Error,
    },
    /// The drawing failed.
    #[error("{}: {reason}", .path.display())]
    Drawing {
        /// What was drawn.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl Report {
    /// Whether all figures are in their bands.
    #[must_use]
    pub fn is_in_band(&self) -> bool {
        self.measurements.iter().all(|measurement| measurement.in_band)
    }

    /// Writes `NAME.csv` with the figures, `NAME-curves.csv` with the curves, and `NAME.svg`, and returns the paths.
    ///
    /// # Errors
    /// [`SaveError`].
    pub fn save(&self, dir: &Path) -> Result<Vec<PathBuf>, SaveError> {
        std::fs::create_dir_all(dir).map_err(|source| SaveError::Io { path: dir.to_owned(), source })?;
        let path = |ending: &str| dir.join(format!("{}{ending}", self.experiment));
        let (figures, curves, drawing) = (path(".csv"), path("-curves.csv"), path(".svg"));
        self.write_figures(&figures).map_err(|source| SaveError::Csv { path: figures.clone(), source })?;
        self.write_curves(&curves).map_err(|source| SaveError::Csv { path: curves.clone(), source })?;
        self.draw(&drawing)?;
        Ok(vec![figures, curves, drawing])
    }

    /// Draws the chart as SVG.
    pub(crate) fn draw(&self, path: &Path) -> Result<(), SaveError> {
        chart::draw(path, self.experiment, &self.chart)
            .map_err(|reason| SaveError::Drawing { path: path.to_owned(), reason })
    }

    fn write_figures(&self, path: &Path) -> Result<(), csv::Error> {
        let mut writer = csv::Writer::from_path(path)?;
        writer.write_record([
            "case", "quantity", "measured", "error", "expected", "low", "high", "in_band", "source",
        ])?;
        for row in &self.measurements {
            let numbers = [row.measured, row.error, row.expected, row.band.low, row.band.high];
            let numbers = numbers.map(|number| number.to_string());
            let words = [row.case.as_str(), row.quantity].map(str::to_owned);
            let verdict = [row.in_band.to_string(), row.source.to_owned()];
            writer.write_record(words.iter().chain(&numbers).chain(&verdict))?;
        }
        Ok(writer.flush()?)
    }

    fn write_curves(&self, path: &Path) -> Result<(), csv::Error> {
        let mut writer = csv::Writer::from_path(path)?;
        writer.write_record(["curve", self.chart.x, self.chart.y])?;
        for series in &self.chart.series {
            for (x, y) in &series.points {
                writer.write_record([&series.name, &x.to_string(), &y.to_string()])?;
            }
        }
        Ok(writer.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(measured: f64, error: f64) -> bool {
        Measurement::with_error("", "", (measured, error), 1.0, Band::rounded(1.0, 0.1), "").in_band
    }

    #[test]
    fn chance_is_granted_and_no_more() {
        assert!(is_in(1.05, 0.0));
        assert!(!is_in(1.06, 0.0));
        assert!(is_in(1.24, 0.05));
        assert!(!is_in(1.26, 0.05));
        assert!(!is_in(f64::NAN, 0.0));
        assert!(!is_in(1.0, f64::NAN), "one run alone has no error");
    }

    #[test]
    fn a_report_is_saved_as_tables_and_a_drawing() {
        let dir = tempfile::tempdir().unwrap();
        let series = Series { name: "a <b>".to_owned(), points: vec![(1.0, 2.0), (10.0, 3.0)] };
        let report = Report {
            experiment: "trial",
            seed: 1,
            runs: 2,
            measurements: vec![Measurement::exact("c = 1, 2", "speed", 1.0, 1.0, Band::new(0.5, 1.5), "us")],
            page: None,
            notes: Vec::new(),
            chart: Chart { x: "x", y: "y", is_x_logarithmic: true, series: vec![series] },
        };
        let paths = report.save(&dir.path().join("new")).unwrap();
        let text: Vec<String> = paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert!(text[0].contains("\"c = 1, 2\",speed,1,0,1,0.5,1.5,true,us"), "{}", text[0]);
        assert_eq!(text[1], "curve,x,y\na <b>,1,2\na <b>,10,3\n");
        assert!(text[2].contains("<svg") && text[2].contains("a &lt;b&gt;"), "{}", text[2]);
    }
}
