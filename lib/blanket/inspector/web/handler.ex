defmodule Blanket.Inspector.Web.Handler do
  @moduledoc false

  # What httpd asks for every request. Everything is read-only, and only for this host: a site whose name
  # was made to mean the loopback address sends its own name along.

  alias Blanket.Inspector.{History, Objects}
  alias Blanket.Inspector.Web.{HTML, Page}

  @style Path.join(__DIR__, "style.css")
  @script Path.join(__DIR__, "script.js")
  @external_resource @style
  @external_resource @script
  @style_text File.read!(@style)
  @script_text File.read!(@script)

  @hosts ["127.0.0.1", "localhost", "[::1]"]

  @security [
    "content-security-policy":
      ~c"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " ++
        ~c"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": ~c"nosniff",
    "referrer-policy": ~c"no-referrer",
    "cross-origin-resource-policy": ~c"same-origin",
    "cache-control": ~c"no-store"
  ]

  # The record `mod` of httpd.hrl, whose header file may not be installed.
  def unquote(:do)(
        {:mod, _init, _data, _socket_type, socket, config, method, _absolute, uri, _version,
         _line, headers, _body, _connection}
      ) do
    # The head and the body are sent each for itself: the second is not to wait for the first's receipt.
    :inet.setopts(socket, nodelay: true)
    web = :httpd_util.lookup(config, :blanket_inspector)
    {code, type, content} = answer(method, uri, headers, web)
    {:proceed, [response: response(method, code, type, content)]}
  end

  defp response(method, code, type, content) do
    body = IO.iodata_to_binary(content)
    allow = if code == 405, do: [allow: ~c"GET, HEAD"], else: []
    length = body |> byte_size() |> Integer.to_charlist()
    head = [code: code, content_type: type, content_length: length] ++ allow ++ @security
    {:response, head, if(method == ~c"HEAD", do: :nobody, else: [body])}
  end

  defp answer(method, uri, headers, web) do
    cond do
      not this_host?(for {~c"host", host} <- headers, do: List.to_string(host)) ->
        error(403, "This page is served to #{Enum.join(@hosts, ", ")} only")

      method not in [~c"GET", ~c"HEAD"] ->
        error(405, "This page can only be looked at")

      true ->
        route(URI.parse(List.to_string(uri)), live?(headers), web)
    end
  end

  defp this_host?([host]), do: String.replace(host, ~r/:\d+$/, "") in @hosts
  defp this_host?(_none_or_several), do: false

  # The script asks for what changes by itself.
  defp live?(headers), do: {~c"x-live", ~c"1"} in headers

  defp route(%{path: "/style.css"}, _live?, _web),
    do: {200, ~c"text/css; charset=utf-8", @style_text}

  defp route(%{path: "/script.js"}, _live?, _web),
    do: {200, ~c"text/javascript; charset=utf-8", @script_text}

  defp route(%{path: "/", query: query}, _live?, web) do
    page(200, Page.overview(part(web, History), query(query)["sort"]))
  end

  defp route(%{path: "/table/" <> id, query: query}, live?, web) do
    at = query(query)["at"] || :first
    objects = if live?, do: nil, else: {part(web, Objects), at}

    case Page.table(part(web, History), id, objects) do
      nil -> error(404, "There is no such table; it may have been deleted")
      html -> page(200, html)
    end
  end

  defp route(_uri, _live?, _web), do: error(404, "There is nothing here")

  defp query(nil), do: %{}

  defp query(query) do
    URI.decode_query(query)
  rescue
    ArgumentError -> %{}
  end

  defp part(web, module) do
    {^module, pid, _, _} = web |> Supervisor.which_children() |> List.keyfind(module, 0)
    pid
  end

  defp page(code, html), do: {code, ~c"text/html; charset=utf-8", HTML.to_iodata(html)}
  defp error(code, text), do: page(code, Page.error(code, text))
end
