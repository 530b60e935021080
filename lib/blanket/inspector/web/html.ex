defmodule Blanket.Inspector.Web.HTML do
  @moduledoc false

  # HTML is made of elements only, and all text in them is escaped here.

  @opaque t :: {:html, iodata}
  @type content :: t | String.t() | number | nil | [content]
  @type attributes :: [{atom, String.t() | number | boolean | nil}]

  @void [:meta, :link, :br]

  @doc """
      iex> import Blanket.Inspector.Web.HTML
      iex> p = el(:p, [class: "a & b", hidden: false], ["1 < 2 ", el(:b, [], "<b>")])
      iex> p |> to_iodata() |> IO.iodata_to_binary()
      ~S(<p class="a &amp; b">1 &lt; 2 <b>&lt;b&gt;</b></p>)
  """
  @spec el(atom, attributes, content) :: t
  def el(name, attributes \\ [], content \\ [])

  def el(name, attributes, _content) when name in @void,
    do: {:html, [?<, Atom.to_string(name), Enum.map(attributes, &attribute/1), ?>]}

  def el(name, attributes, content) do
    tag = Atom.to_string(name)

    {:html, [?<, tag, Enum.map(attributes, &attribute/1), ?>, to_iodata(content), "</", tag, ?>]}
  end

  @spec doctype() :: t
  def doctype, do: {:html, "<!DOCTYPE html>\n"}

  @spec to_iodata(content) :: iodata
  def to_iodata({:html, html}), do: html
  def to_iodata(text) when is_binary(text), do: escape(text)
  def to_iodata(number) when is_number(number), do: to_string(number)
  def to_iodata(nil), do: []
  def to_iodata(list) when is_list(list), do: Enum.map(list, &to_iodata/1)

  defp attribute({_name, absent}) when absent in [nil, false], do: []
  defp attribute({name, true}), do: [?\s, Atom.to_string(name)]

  defp attribute({name, value}),
    do: [?\s, Atom.to_string(name), "=\"", escape(to_string(value)), ?"]

  defp escape(text), do: for(<<byte <- text>>, do: escape_byte(byte))

  defp escape_byte(?<), do: "&lt;"
  defp escape_byte(?>), do: "&gt;"
  defp escape_byte(?&), do: "&amp;"
  defp escape_byte(?"), do: "&quot;"
  defp escape_byte(?'), do: "&#39;"
  defp escape_byte(byte), do: byte
end
