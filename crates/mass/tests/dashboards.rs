//! The dashboards in ops/ have the form that Grafana imports. That their metrics exist is tested with a farm.

mod ops;

use std::collections::BTreeSet;

use serde_json::Value;

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn has_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// The names of what an expression takes from the dashboard's variables.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).filter_map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        Some(&rest[..end.unwrap_or(rest.len())]).filter(|name| !name.starts_with("__"))
    })
}

#[test]
fn grafana_imports_the_dashboards() {
    for (file, uid) in [("grafana-farm.json", "mass-farm"), ("grafana-node.json", "mass-node")] {
        let dashboard: Value = serde_json::from_str(&ops::read(file)).unwrap();
        assert_eq!(dashboard["uid"], uid);
        assert!(dashboard["id"].is_null() && has_text(&dashboard["title"]), "{file}");
        assert!(dashboard["schemaVersion"].as_u64() >= Some(36), "{file}");

        // The data source is a variable, so that the file suits any Grafana.
        let declared = array(&dashboard["templating"]["list"]);
        let is_source = |it: &&Value| it["type"] == "datasource" && it["query"] == "prometheus";
        assert_eq!(declared.iter().filter(is_source).count(), 1, "{file}");
        assert_eq!(declared[0]["name"], "datasource", "{file}: what others ask must come first");
        let names: BTreeSet<&str> = declared.iter().filter_map(|it| it["name"].as_str()).collect();
        let uses_it = |it: &Value| {
            it["datasource"]["uid"] == "${datasource}" && it["datasource"]["type"] == "prometheus"
        };
        assert!(declared[1..].iter().all(uses_it), "{file}");

        let panels = array(&dashboard["panels"]);
        let ids: BTreeSet<_> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
        assert!(panels.len() > 5 && ids.len() == panels.len(), "{file}: each panel has an id of its own");
        for panel in panels {
            assert!(
                has_text(&panel["title"]) && has_text(&panel["description"]) && uses_it(panel),
                "{panel}"
            );
            assert!(
                ["stat", "timeseries", "state-timeline"].iter().any(|kind| panel["type"] == *kind),
                "{panel}"
            );
            assert!(!array(&panel["targets"]).is_empty(), "{panel}");
            for target in array(&panel["targets"]) {
                assert!(
                    has_text(&target["refId"]) && has_text(&target["expr"]) && uses_it(target),
                    "{target}"
                );
                let expr = target["expr"].as_str().unwrap();
                assert!(expr.contains("mass_") && variables(expr).all(|name| names.contains(name)), "{expr}");
                let balanced = |open, close| expr.matches(open).count() == expr.matches(close).count();
                assert!(balanced('(', ')') && balanced('{', '}') && balanced('[', ']'), "{expr}");
            }
        }
        panels_lie_side_by_side(panels);
    }
}

fn panels_lie_side_by_side(panels: &[Value]) {
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let (x, y, width, height) = (at("x"), at("y"), at("w"), at("h"));
        assert!(width > 0 && height > 0 && x + width <= 24, "{panel}");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{} lies on another panel", panel["title"]);
        }
    }
}
