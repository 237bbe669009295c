//! Curves as an SVG file.

use std::path::Path;

use plotters::{
    coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
    prelude::*,
};

use crate::report::{Chart, Series};

const SIZE_PIXELS: (u32, u32) = (900, 560);

/// Draws a chart; the error is the reason in words.
pub fn draw(path: &Path, title: &str, chart: &Chart) -> Result<(), String> {
    let root = SVGBackend::new(path, SIZE_PIXELS).into_drawing_area();
    root.fill(&WHITE).map_err(|error| error.to_string())?;
    let (x, y) = (range(chart, |point| point.0), range(chart, |point| point.1));
    if chart.is_x_logarithmic {
        draw_on(&root, title, chart, (x.0..x.1).log_scale(), y)?;
    } else {
        draw_on(&root, title, chart, x.0..x.1, y)?;
    }
    root.present().map_err(|error| error.to_string())
}

fn draw_on<X>(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    chart: &Chart,
    x: X,
    y: (f64, f64),
) -> Result<(), String>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut context = ChartBuilder::on(root)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y.0..y.1)
        .map_err(|error| error.to_string())?;
    context.configure_mesh().x_desc(chart.x).y_desc(chart.y).draw().map_err(|error| error.to_string())?;
    for (number, Series { name, points }) in chart.series.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let drawn = context
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))
            .map_err(|error| error.to_string())?;
        drawn.label(name.as_str()).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
        let dots = points.iter().map(|point| Circle::new(*point, 2, color.filled()));
        context.draw_series(dots).map_err(|error| error.to_string())?;
    }
    let mut labels = context.configure_series_labels();
    labels.border_style(BLACK).background_style(WHITE.mix(0.8)).draw().map_err(|error| error.to_string())
}

/// Least and greatest of a coordinate, with some air if they are one.
fn range(chart: &Chart, coordinate: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let values = || chart.series.iter().flat_map(|series| &series.points).map(&coordinate);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    match low.partial_cmp(&high) {
        Some(std::cmp::Ordering::Less) => (low, high),
        Some(std::cmp::Ordering::Equal) => (low - 0.5, high + 0.5),
        _ => (0.0, 1.0),
    }
}
