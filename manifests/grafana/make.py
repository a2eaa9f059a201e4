#!/usr/bin/env python3
"""Writes the dashboards of this folder, a JSON file each: `./dev manifests` calls it.

What they show is in `dashboards.py`; here is how Grafana wants it written. With `--check` it
writes nothing and fails if a file is not what it would write.
"""

import json
import pathlib
import sys

sys.dont_write_bytecode = True
import dashboards  # noqa: E402

HERE = pathlib.Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
# States, from good to bad.
GREEN, YELLOW, RED = "green", "yellow", "red"


def target(query, legend, index, instant, heat):
    return {
        "datasource": SOURCE,
        "expr": " ".join(query.split()),
        "legendFormat": legend,
        "refId": chr(ord("A") + index),
        "instant": instant,
        "range": not instant,
        "format": "heatmap" if heat else "table" if instant == "table" else "time_series",
    }


def thresholds(limits):
    """`limits`: where it turns yellow and red; the other way round if it falls towards bad."""
    if limits is None:
        return {"mode": "absolute", "steps": [{"color": "blue", "value": None}]}
    warning, bad = limits
    colours = (GREEN, YELLOW, RED) if warning <= bad else (RED, YELLOW, GREEN)
    low, high = sorted(limits)
    steps = zip(colours, (None, low, high))
    return {"mode": "absolute", "steps": [{"color": c, "value": v} for c, v in steps]}


def panel(spec, number, place):
    kind = spec.get("kind", "timeseries")
    instant = kind in ("stat", "table")
    targets = [
        target(query, legend, index, "table" if kind == "table" else instant, kind == "heatmap")
        for index, (query, legend) in enumerate(spec["queries"])
    ]
    defaults = {
        "unit": spec["unit"],
        "decimals": spec.get("decimals"),
        "thresholds": thresholds(spec.get("limits")),
        "noValue": spec.get("empty", "none"),
        "color": {"mode": "thresholds" if instant else "palette-classic"},
    }
    if "min" in spec or kind == "timeseries":
        defaults["min"] = spec.get("min", 0)
    if "max" in spec:
        defaults["max"] = spec["max"]
    if kind == "timeseries":
        defaults["custom"] = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never",
            "stacking": {"mode": "normal" if spec.get("stack") else "none"},
            "thresholdsStyle": {"mode": "line" if spec.get("limits") else "off"},
        }
    if "link" in spec:
        title, url = spec["link"]
        defaults["links"] = [{"title": title, "url": url}]
    made = {
        "id": number, "type": kind, "title": spec["title"], "description": spec["about"],
        "datasource": SOURCE, "gridPos": place, "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options(kind),
    }
    if kind == "table":
        # Queries side by side, a row for each set of labels.
        made["transformations"] = [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True},
                                           "renameByName": names(spec)}},
        ]
    return made


def names(spec):
    """Of a table's columns of values, which Grafana calls by the query's letter."""
    legends = [legend for _, legend in spec["queries"]]
    if len(legends) == 1:
        return {"Value": legends[0]}
    return {f"Value #{chr(ord('A') + i)}": legend for i, legend in enumerate(legends)}


def options(kind):
    if kind == "stat":
        return {"colorMode": "value", "graphMode": "none", "textMode": "auto",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    if kind == "timeseries":
        return {"legend": {"displayMode": "table", "placement": "bottom",
                           "calcs": ["lastNotNull", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"}}
    if kind == "heatmap":
        return {"calculate": False, "yAxis": {"unit": "ms"},
                "color": {"mode": "scheme", "scheme": "Blues"}, "cellGap": 1}
    return {"showHeader": True, "sortBy": []}


def row(title, number, y):
    return {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
            "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y}}


def layout(rows):
    """Panels from left to right, each row below the one before."""
    made, y = [], 0
    for title, specs in rows:
        made.append(row(title, len(made) + 1, y))
        y += 1
        x = height = 0
        for spec in specs:
            width = spec.get("width", 12)
            if x + width > COLUMNS:
                x, y, height = 0, y + height, 0
            h = spec.get("height", 4 if spec.get("kind") == "stat" else 8)
            made.append(panel(spec, len(made) + 1, {"h": h, "w": width, "x": x, "y": y}))
            x, height = x + width, max(height, h)
        y += height
    return made


def variables(asked):
    source = {"name": "datasource", "label": "Data source", "type": "datasource",
              "query": "prometheus", "hide": 0, "refresh": 1}
    made = [source]
    for name, label, query in asked:
        made.append({
            "name": name, "label": label, "type": "query", "datasource": SOURCE,
            "query": {"query": query, "refId": name}, "definition": query, "refresh": 2,
            "sort": 1, "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        })
    return made


def dashboard(name, spec):
    return {
        "uid": f"ambit-{name}", "title": f"Ambit / {spec['title']}",
        "description": spec["about"], "tags": ["ambit"], "schemaVersion": 39, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"}, "annotations": {"list": []},
        "links": [{
            "title": "Ambit", "type": "dashboards", "tags": ["ambit"], "asDropdown": False,
            "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "",
        }],
        "templating": {"list": variables(spec["variables"])},
        "panels": layout(spec["rows"]),
    }


def written(made):
    """A line for each panel, so that a change shows in a diff where it is."""
    panels = ",\n    ".join(json.dumps(panel) for panel in made.pop("panels"))
    head = json.dumps(made, indent=2)[:-2]
    return f'{head},\n  "panels": [\n    {panels}\n  ]\n}}\n'


def main():
    stale = []
    for name, spec in dashboards.ALL.items():
        path, text = HERE / f"{name}.json", written(dashboard(name, spec))
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        sys.exit(f"{', '.join(stale)}: not what make.py writes; run ./dev manifests")


if __name__ == "__main__":
    main()
