//! The report as one HTML page that needs nothing else.

use std::fmt::Write;

use super::{Report, table};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 56.0;

/// Cost or latency against something that grows.
pub(crate) struct Curve {
    pub(crate) title: String,
    pub(crate) across: String,
    pub(crate) up: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A page with curves, and each run's latency distribution and table.
pub(crate) fn page(title: &str, curves: &[Curve], reports: &[Report]) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1b2733}}\
         pre{{background:#f4f6f8;padding:1rem;overflow-x:auto}}svg{{max-width:100%}}.void{{color:#b00020}}</style>\
         <h1>{title}</h1>",
        title = escape(title)
    );
    for curve in curves {
        page.push_str(&chart(curve));
    }
    for report in reports {
        let class = if report.void.is_empty() {
            ""
        } else {
            " class=\"void\""
        };
        // Writing to a string cannot fail.
        let _ = write!(page, "<h2{class}>{}</h2>", escape(&report.title));
        let points = report
            .latency
            .percentiles_us
            .iter()
            .enumerate()
            .map(|(percent, us)| (percent as f64, *us));
        page.push_str(&chart(&Curve {
            title: "Forward latency".into(),
            across: "share of packets, %".into(),
            up: "us".into(),
            points: points.collect(),
        }));
        let _ = write!(page, "<pre>{}</pre>", escape(&table(report)));
    }
    page.push_str("</html>\n");
    page
}

fn chart(curve: &Curve) -> String {
    if curve.points.is_empty() {
        return String::new();
    }
    let most = |of: fn(&(f64, f64)) -> f64| {
        curve
            .points
            .iter()
            .map(of)
            .fold(f64::MIN_POSITIVE, f64::max)
    };
    let (right, top) = (most(|point| point.0), most(|point| point.1));
    let x = |value: f64| MARGIN + value / right * (WIDTH - 2.0 * MARGIN);
    let y = |value: f64| HEIGHT - MARGIN - value / top * (HEIGHT - 1.6 * MARGIN);
    let mut svg = format!(
        "<h3>{}</h3><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" font-size=\"12\" fill=\"#1b2733\">",
        escape(&curve.title)
    );
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let (across, up) = (x(right * share), y(top * share));
        let _ = write!(
            svg,
            "<line x1=\"{MARGIN}\" x2=\"{:.0}\" y1=\"{up:.1}\" y2=\"{up:.1}\" stroke=\"#d5dce3\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text x=\"{across:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            WIDTH - MARGIN,
            MARGIN - 6.0,
            up + 4.0,
            number(top * share),
            HEIGHT - MARGIN + 18.0,
            number(right * share),
        );
    }
    let line: Vec<String> = curve
        .points
        .iter()
        .map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up)))
        .collect();
    let _ = write!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#0b6bcb\" stroke-width=\"2\"/>",
        line.join(" ")
    );
    if curve.points.len() <= 20 {
        for (across, up) in &curve.points {
            let (cx, cy) = (x(*across), y(*up));
            let _ = write!(
                svg,
                "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"#0b6bcb\"><title>{}: {}</title></circle>",
                number(*across),
                number(*up)
            );
        }
    }
    let _ = write!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text><text x=\"4\" y=\"14\">{}</text></svg>",
        WIDTH / 2.0,
        HEIGHT - 12.0,
        escape(&curve.across),
        escape(&curve.up)
    );
    svg
}

fn number(value: f64) -> String {
    if value >= 10.0 || value == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_its_curves_and_loads_nothing() {
        let curve = Curve {
            title: "Cost <of> a packet".into(),
            across: "subscribers".into(),
            up: "ns".into(),
            points: vec![(1.0, 900.0), (50.0, 850.0)],
        };
        let page = page("Curves", &[curve], &[]);
        assert!(page.contains("Cost &lt;of&gt; a packet") && page.contains("<polyline"));
        assert!(!page.contains("http"), "nothing is fetched");
    }
}
