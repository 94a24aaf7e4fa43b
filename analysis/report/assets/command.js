"use strict";
// The command that computes a point again, and the one that makes it from nothing with the everyday commands.

function quoted(text) {
  return /^[A-Za-z0-9_.,:=\/+-]+$/.test(text) ? text : "'" + String(text).replaceAll("'", "'\\''") + "'";
}

function option(name, value, usual) {
  return value === null || value === undefined || value === usual ? "" : ` --${name} ${quoted(String(value))}`;
}

function againCommand(report, rows, row) {
  return `ptqsim sweep ${quoted(report.study_file)} --store ${quoted(report.store_file)} --point ${rows.key(row)}`;
}

// Options of the layout of a calibration, and of its integer-only network where it has one.
function layoutOptions(value) {
  const formats = value("formats");
  const named = formats === null || formats === "method" ? [] : formats.split(",");
  const layout = option("w-granularity", value("w_granularity"), "tensor") +
    (value("a_symmetric") ? "" : value("a_symmetric") === null ? "" : " --a-asymmetric") +
    named.map((format) => ` --format ${quoted(format)}`).join("");
  if (value("residual_bits") === null) return layout;
  const norm = value("layer_norm").split(",").slice(1).join(",");
  return `${layout} --integer-only` + option("residual-bits", value("residual_bits"), 16) +
    option("residual-scale", value("residual_scale") || "free", "free") +
    option("softmax", value("softmax"), "softmax") + option("gelu", value("gelu"), "gelu") +
    option("layer-norm", norm, "");
}

// null where no everyday command says it: other shifts, or a study that can't be read.
function freshCommand(report, rows, row) {
  const value = (name) => rows.value(name, row);
  const model = (report.models || {})[value("model")];
  if (!model) return null;
  const images = value("evaluation_images");
  const data = option("data", model.data, "digits");
  const source = ` --model ${model.name}` + (model.pretrained ? " --pretrained" : "") +
    option("checkpoint", model.checkpoint, null);
  if (value("mode") === "float") return `ptqsim evaluate${source}${data} --limit ${images}`;
  const method = report.methods[value("method")];
  if (value("softmax_shift") !== null || value("gelu_shift") !== null || !method) return null;
  const options = Object.entries(method.options).map(([name, given]) =>
    ` -O ${quoted(`${name}=${typeof given === "string" ? given : JSON.stringify(given)}`)}`).join("");
  const calibrate = `ptqsim calibrate${source}${data} --method ${method.name}` +
    option("variant", method.variant, "paper") + options + option("w-bits", value("w_bits")) +
    option("a-bits", value("a_bits")) + option("seed", value("seed")) +
    option("images", value("calibration_images")) + layoutOptions(value) + " -o m.safetensors";
  if (!["integer", "integer_only"].includes(value("mode"))) {
    return `${calibrate} && ptqsim evaluate m.safetensors --mode ${value("mode")}${data} --limit ${images}`;
  }
  const widths = value("widths") === null ? [] : Object.entries(JSON.parse(value("widths")));
  if (value("layer") !== null) widths.push([value("layer"), value("acc_bits")]);
  const bits = widths.length || value("acc_bits") === null ? 48 : value("acc_bits");
  const layers = widths.map(([name, width]) => ` --layer ${name}=${width}`).join("");
  return `${calibrate} && ptqsim simulate m.safetensors --bits ${bits}` +
    option("mode", value("mode"), "integer") + option("overflow", value("overflow"), "wrap") +
    option("order", value("order"), "sequential") + option("alignment", value("alignment"), "product") +
    `${layers}${data} --limit ${images}`;
}
