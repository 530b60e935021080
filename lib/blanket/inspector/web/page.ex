defmodule Blanket.Inspector.Web.Page do
  @moduledoc false

  # The pages. What an element with `data-live` holds is brought up to date by the script.

  import Blanket.Inspector.Web.HTML, only: [el: 2, el: 3]

  alias Blanket.{Events, Inspector}
  alias Blanket.Inspector.{History, Objects, Report, Words}
  alias Blanket.Inspector.Web.{Chart, HTML}

  # How many tables and events one page shows.
  @tables 100
  @events 30

  ## All tables

  @spec overview(pid, sort :: String.t() | nil) :: [HTML.content()]
  def overview(history, sort) do
    sort = Enum.find(Report.sorts(), :memory, &(Atom.to_string(&1) == sort))
    tables = history |> History.tables() |> Report.sort(sort)
    {shown, hidden} = Enum.split(tables, @tables)
    series = History.series(history, Enum.map(shown, & &1.table))
    total = History.total(history)
    marks = marks(Events.latest())

    document("Tables", [
      live("figures", :section, [class: "cards", "aria-label": "All tables"], figures(tables)),
      live(
        "charts",
        :section,
        [class: "charts", "aria-label": "Over time"],
        charts(total, marks)
      ),
      el(:section, [class: "panel"], [
        el(:h2, [], "Tables"),
        live("tables", :div, [], [
          if(tables == [],
            do: nothing("This node has no tables."),
            else: list(shown, series, sort)
          ),
          if(hidden != [], do: el(:p, [class: "more"], "and #{Words.number(length(hidden))} more"))
        ])
      ]),
      el(:section, [class: "panel"], [
        el(:h2, [], "What happened"),
        live("events", :div, [], events(Events.latest()))
      ])
    ])
  end

  defp figures(tables) do
    orphans = Enum.count(tables, &(&1.state == :orphan))

    [
      figure("Tables", Words.number(length(tables))),
      figure("Objects", Words.number(sum(tables, :size))),
      figure("Memory", Words.bytes(sum(tables, :bytes))),
      figure("Orphans", Words.number(orphans), if(orphans > 0, do: "warn")),
      figure("Hand-overs", Words.number(sum(tables, :hand_overs)))
    ]
  end

  defp figure(name, value, class \\ nil) do
    el(:div, [class: "card"], [
      el(:span, [class: "label"], name),
      el(:strong, [class: class], value)
    ])
  end

  defp sum(tables, figure), do: tables |> Enum.map(&Map.fetch!(&1, figure)) |> Enum.sum()

  defp charts(series, marks) do
    [
      Chart.figure("Objects", sizes(series), marks, &Words.number/1),
      Chart.figure("Memory", bytes(series), marks, &Words.bytes/1)
    ]
  end

  defp sizes(series), do: for({age, size, _bytes} <- series, do: {age, size})
  defp bytes(series), do: for({age, _size, bytes} <- series, do: {age, bytes})

  @columns [
    {"Name", :name},
    {"Type", nil},
    {"Objects", :size},
    {"Memory", :memory},
    {"Last minutes", nil},
    {"State", nil},
    {"Owner", nil},
    {"Heir", nil},
    {"Hand-overs", :hand_overs}
  ]

  defp list(tables, series, sort) do
    el(:div, [class: "scroll", role: "region", "aria-label": "Tables", tabindex: 0], [
      el(:table, [class: "tables"], [
        el(:thead, [], el(:tr, [], for({name, by} <- @columns, do: head(name, by, sort)))),
        el(:tbody, [], for(info <- tables, do: row(info, series[info.table])))
      ])
    ])
  end

  defp head(name, nil, _sort), do: el(:th, [scope: "col"], name)

  defp head(name, by, sort) do
    sorted = if by == sort, do: if(by == :name, do: "ascending", else: "descending")

    el(
      :th,
      [scope: "col", class: if(by != :name, do: "number"), "aria-sort": sorted],
      el(:a, [href: "/?sort=#{by}", id: "sort-#{by}"], name)
    )
  end

  defp row(info, series) do
    id = id(info)

    el(:tr, [], [
      cell("Name", "name", el(:a, [href: "/table/#{id}", id: "t-#{id}"], Words.short(info.name))),
      cell("Type", nil, [to_string(info.type), el(:small, [], to_string(info.protection))]),
      cell("Objects", "number", Words.number(info.size)),
      cell("Memory", "number", Words.bytes(info.bytes)),
      cell("Last minutes", "spark", Chart.sparkline(sizes(series), "Objects over time")),
      cell("State", nil, state(info)),
      cell("Owner", nil, owner(info)),
      cell("Heir", nil, heir(info)),
      cell("Hand-overs", "number", Words.number(info.hand_overs))
    ])
  end

  defp cell(label, class, content), do: el(:td, [class: class, "data-label": label], content)

  defp state(info) do
    since = DateTime.diff(DateTime.utc_now(), info.since, :microsecond)

    [
      el(:span, [class: "badge #{info.state}"], to_string(info.state)),
      el(:small, [], "for #{Words.span(max(since, 0))}")
    ]
  end

  defp owner(%{owner: :none, owner_name: nil}), do: el(:span, [class: "none"], "none")
  defp owner(%{owner: :none} = info), do: [el(:span, [class: "none"], "none"), awaited(info)]
  defp owner(%{owner_name: nil} = info), do: pid(info.owner)

  defp owner(info),
    do: [el(:code, [], Words.short(info.owner_name)), el(:small, [], inspect(info.owner))]

  defp awaited(info), do: el(:small, [], "waits for #{Words.short(info.owner_name)}")

  defp heir(%{heir: :none, kept_as: nil}), do: el(:span, [class: "none"], "none")
  defp heir(%{heir: :none}), do: el(:span, [class: "none"], "being restarted")
  defp heir(%{heir: :immortal}), do: el(:span, [class: "none"], "immortal")
  defp heir(info), do: pid(info.heir)

  defp pid(pid), do: el(:code, [], inspect(pid))

  ## What happened

  defp events([]), do: nothing("Nothing has happened to a kept table since the node started.")

  defp events(events) do
    el(:ol, [class: "events"], for(event <- Enum.take(events, @events), do: event(event)))
  end

  defp event(event) do
    el(:li, [class: "#{event.event}"], [
      el(
        :time,
        [datetime: DateTime.to_iso8601(event.time)],
        local_time(event.time)
      ),
      el(:span, [class: "badge #{event.event}"], event_name(event.event)),
      el(:span, [class: "text"], event.text)
    ])
  end

  defp local_time(time) do
    time
    |> DateTime.to_naive()
    |> NaiveDateTime.to_erl()
    |> :calendar.universal_time_to_local_time()
    |> NaiveDateTime.from_erl!()
    |> Calendar.strftime("%H:%M:%S")
  end

  defp event_name(:handed_over), do: "hand-over"
  defp event_name(:orphaned), do: "orphan"
  defp event_name(:restarted), do: "new heir"
  defp event_name(event), do: Atom.to_string(event)

  defp marks(events) do
    now = DateTime.utc_now()

    for %{event: :handed_over, time: time} <- events,
        do: max(DateTime.diff(now, time, :millisecond), 0)
  end

  ## One table

  @doc """
  The page of a table. `objects` is where to read them, and which page; `nil` for none.
  """
  @spec table(pid, id :: String.t(), {pid, Objects.token() | :first} | nil) ::
          [HTML.content()] | nil
  def table(history, id, objects) do
    info = history |> History.tables() |> Enum.find(&(id(&1) == id))

    # What is known may be a moment old, and the table gone.
    if info != nil and Inspector.table(info.table) != nil do
      series = History.series(history, [info.table])[info.table]
      events = Enum.filter(Events.latest(), &(&1.table == info.table))

      document(Words.short(info.name), [
        el(:nav, ["aria-label": "Breadcrumb"], el(:a, [href: "/", id: "back"], "← All tables")),
        el(:h2, [class: "name"], Words.short(info.name)),
        live("figures", :section, [class: "cards", "aria-label": "Figures"], [
          figure("Objects", Words.number(info.size)),
          figure("Memory", Words.bytes(info.bytes)),
          figure("Hand-overs", Words.number(info.hand_overs)),
          figure(
            "Last one took",
            if(info.hand_overs == 0, do: "–", else: Words.span(info.waited))
          )
        ]),
        live(
          "charts",
          :section,
          [class: "charts", "aria-label": "Over time"],
          charts(series, marks(events))
        ),
        live("facts", :section, [class: "panel"], facts(info)),
        el(:section, [class: "panel"], [
          el(:h2, [], "What happened"),
          live("events", :div, [], events(events))
        ]),
        if(objects, do: objects(info, id, objects))
      ])
    end
  end

  defp facts(info) do
    el(:dl, [class: "facts"], [
      fact("State", state(info)),
      fact("Owner", owner(info)),
      fact("Heir", heir(info)),
      fact("Kept as", kept_as(info)),
      fact("Type", to_string(info.type)),
      fact("Access", to_string(info.protection)),
      fact("Key", "element #{info.keypos}"),
      fact("Reference", el(:code, [], inspect(info.table)))
    ])
  end

  defp fact(name, content), do: el(:div, [], [el(:dt, [], name), el(:dd, [], content)])

  defp kept_as(%{kept_as: {:ok, ref}}), do: el(:code, [], Words.short(ref))
  defp kept_as(_info), do: el(:span, [class: "none"], "not kept")

  # A reference as a path: its numbers. It is looked for among those that are there.
  defp id(info) do
    info.table |> :erlang.ref_to_list() |> List.to_string() |> String.replace(~r/^#Ref<|>$/, "")
  end

  ## Objects

  defp objects(%{protection: :private}, _id, _objects) do
    el(:section, [class: "panel", id: "objects"], [
      el(:h2, [], "Objects"),
      nothing("The table is private: nobody but its owner may see its objects.")
    ])
  end

  defp objects(info, id, {objects, at}) do
    content =
      case Objects.page(objects, info.table, info.keypos, at) do
        {:ok, %{objects: []}} when at == :first -> nothing("The table is empty.")
        {:ok, %{objects: []}} -> [nothing("There are no more objects."), pages(id, at, nil)]
        {:ok, page} -> [rows(page.objects), pages(id, at, page.next)]
        {:error, reason} -> [nothing(reason(reason)), pages(id, at, nil)]
      end

    el(:section, [class: "panel", id: "objects"], [el(:h2, [], "Objects") | List.wrap(content)])
  end

  defp pages(id, at, next) do
    el(:nav, [class: "pages", "aria-label": "Pages of objects"], [
      if(at != :first, do: el(:a, [href: "/table/#{id}#objects"], "First page")),
      if(next, do: el(:a, [href: "/table/#{id}?at=#{next}#objects", rel: "next"], "Next page →"))
    ])
  end

  defp rows(rows) do
    el(:div, [class: "scroll", role: "region", "aria-label": "Objects", tabindex: 0], [
      el(:table, [class: "objects"], [
        el(
          :thead,
          [],
          el(:tr, [], [el(:th, [scope: "col"], "Key"), el(:th, [scope: "col"], "Object")])
        ),
        el(:tbody, [], for({key, object} <- rows, do: object_row(key, object)))
      ])
    ])
  end

  defp object_row(key, object) do
    el(:tr, [], [
      el(:td, ["data-label": "Key"], el(:pre, [], key)),
      el(:td, ["data-label": "Object"], el(:pre, [], object))
    ])
  end

  defp reason(:no_access),
    do: "The table is private now: nobody but its owner may see its objects."

  defp reason(:gone), do: "The table is gone."
  defp reason(:too_large), do: "These objects are too large to be shown."
  defp reason(:too_slow), do: "It takes too long to show these objects."
  defp reason(:unknown_page), do: "This page is no longer known. Begin with the first."
  defp reason(:failed), do: "These objects cannot be shown: to inspect them fails."

  defp nothing(text), do: el(:p, [class: "nothing"], text)

  ## All pages

  @spec error(pos_integer, String.t()) :: [HTML.content()]
  def error(code, text) do
    document("#{code}", [
      el(:section, [class: "panel"], [
        el(:h2, [], code),
        nothing(text),
        el(:a, [href: "/"], "All tables")
      ])
    ])
  end

  # A blanket's weave.
  @icon "data:image/svg+xml," <>
          URI.encode(
            ~s(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#0f766e"/><path d="M0 5h16M0 11h16M5 0v16M11 0v16" stroke="#99f6e4" stroke-width="1.5"/></svg>),
            &URI.char_unreserved?/1
          )

  defp document(title, content) do
    [
      HTML.doctype(),
      el(:html, [lang: "en"], [
        el(:head, [], [
          el(:meta, charset: "utf-8"),
          el(:meta, name: "viewport", content: "width=device-width, initial-scale=1"),
          el(:meta, name: "color-scheme", content: "light dark"),
          el(:title, [], "#{title} – Blanket on #{node()}"),
          el(:link, rel: "icon", href: @icon),
          el(:link, rel: "stylesheet", href: "/style.css"),
          el(:script, [src: "/script.js", defer: true], [])
        ]),
        el(:body, [], [
          el(:a, [class: "skip", href: "#main"], "To the content"),
          el(:header, [], [
            el(:h1, [], el(:a, [href: "/", id: "home"], "Blanket")),
            el(:code, [class: "node"], to_string(node())),
            el(:span, [class: "pulse", id: "pulse", role: "status"], [])
          ]),
          el(:main, [id: "main"], content)
        ])
      ])
    ]
  end

  defp live(id, name, attributes, content),
    do: el(name, [{:id, "live-" <> id}, {:"data-live", true} | attributes], content)
end
