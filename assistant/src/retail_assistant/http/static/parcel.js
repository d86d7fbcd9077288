// How a parcel is sent, and where to: the fields of the checkout, and the names of the ways.

import { make } from "./dom.js";

/** The ways to send a parcel, as shoppers read them. */
export const WAYS = {
  standard: "Standard delivery",
  express: "Express",
  europe: "To another European country",
  world: "To a country outside Europe",
};

/** A field for an address. */
export const addressField = (value) =>
  make("textarea", { name: "address", rows: 3, required: true, maxlength: 300, autocomplete: "street-address", value });

/** The fields for a cart's parcel; none if none is sent. `onchange` is called with the way that is chosen. */
export function parcel(found, onchange) {
  const { sendings } = found;
  if (!sendings.length) {
    onchange(null);
    return { fields: [], read: () => ({ sending: null, address: "" }) };
  }
  let chosen = sendings[0];
  const address = addressField(found.address);
  const way = (one) =>
    make(
      "label",
      { class: "way" },
      make("input", {
        type: "radio",
        name: "sending",
        value: one.name,
        checked: one === chosen,
        onchange: () => onchange((chosen = one)),
      }),
      make("span", {}, WAYS[one.name] ?? one.name),
      make("span", {}, one.cents ? one.price : "Free"),
    );
  onchange(chosen);
  return {
    fields: [
      make("label", { class: "field" }, make("span", {}, "Delivery address"), address),
      sendings.length > 1 &&
        make("fieldset", { class: "ways" }, make("legend", {}, "How should we send it?"), sendings.map(way)),
    ].filter(Boolean),
    read: () => ({ sending: chosen, address: address.value }),
  };
}
