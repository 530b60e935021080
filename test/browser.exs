defmodule Blanket.BrowserTest do
  # The page in Chromium: bin/test-web. Not among the other tests, for the browser takes long to install.
  use ExUnit.Case, async: false

  alias Blanket.Inspector.Web
  alias Blanket.Table
  alias Blanket.Test.{Browser, Counter}

  @moduletag :capture_log

  setup do
    web = start_supervised!({Web, port: 0})
    browser = Browser.start()
    on_exit(fn -> for name <- Table.all(), name != Blanket.Rendezvous, do: Table.claim(name) end)
    {:ok, browser: browser, url: Web.url(web)}
  end

  defp open(browser, url) do
    Browser.open(browser, url)
    await_live(browser)
  end

  defp await_live(browser),
    do: Browser.await(browser, ~s|document.getElementById("pulse").className === "pulse on"|)

  defp await_text(browser, selector, text) do
    Browser.await(
      browser,
      "document.querySelector(#{inspect(selector)})?.innerText.includes(#{inspect(text)})"
    )
  end

  # By the keyboard alone, however many links come before.
  defp tab_to(browser, id, presses \\ 50)
  defp tab_to(_browser, id, 0), do: flunk("the tabulator does not get to #{id}")

  defp tab_to(browser, id, presses) do
    unless Browser.run(browser, "return document.activeElement.id") == id do
      Browser.press(browser, ["\uE004"])
      tab_to(browser, id, presses - 1)
    end
  end

  defp link_id(browser, text) do
    Browser.run(
      browser,
      "return [...document.querySelectorAll('td.name a')]" <>
        ".find((link) => link.textContent === #{inspect(text)}).id"
    )
  end

  test "a killed owner shows as a hand-over, without a reload", %{browser: browser, url: url} do
    name = Counter.name("killed")
    settings = Counter.settings(owner: name, table: {name, []})
    start_supervised!({Counter, settings})
    assert_receive {:received, ^name, first, table}
    open(browser, url)
    await_text(browser, "#live-tables", inspect(first))
    Browser.run(browser, "window.since = performance.now()")

    Process.exit(first, :kill)
    assert_receive {:received, ^name, next, ^table}

    for text <- [
          "handed over from #{inspect(first)} to #{inspect(next)}",
          "#{inspect(first)} exited"
        ],
        do: await_text(browser, "#live-events", text)

    await_text(browser, "#live-tables", inspect(next))

    seconds =
      Browser.run(browser, "return ((performance.now() - window.since) / 1000).toFixed(1)")

    IO.puts("The hand-over was on the page #{seconds} s after the owner was killed")
    refute Browser.text(browser, "#live-tables") =~ inspect(first)
  end

  test "an orphan shows until somebody comes, on the table's own page too", %{
    browser: browser,
    url: url
  } do
    name = Counter.name("orphan")
    {:ok, pid} = Counter.start_link(Counter.settings(owner: name, table: {name, []}))
    assert_receive {:received, ^name, ^pid, table}
    open(browser, url)
    await_text(browser, "#live-tables", inspect(name))
    id = link_id(browser, inspect(name))
    Browser.run(browser, "document.getElementById('#{id}').click()")
    Browser.await(browser, "document.getElementById('back') !== null")
    await_live(browser)
    await_text(browser, "#live-facts", "owned")
    Counter.kill(pid)
    await_text(browser, "#live-facts", "orphan")
    await_text(browser, "#live-facts", "waits for #{inspect(name)}")
    {:ok, ^table} = Table.claim(table)
    await_text(browser, "#live-facts", inspect(self()))
    Table.delete(table)
    await_text(browser, "#pulse", "the table is gone")
  end

  test "what tables hold is text and nothing else", %{browser: browser, url: url} do
    evil =
      "</pre></script><img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>"

    name = String.to_atom(evil)
    table = Table.new(name, [:public])
    Table.insert(table, [{evil, evil}, {String.to_atom(evil), %{evil => [evil]}}])
    {:ok, _} = Blanket.claim_table(evil, create_table: fn -> {:ok, table} end)
    open(browser, url)
    await_text(browser, "#live-tables", "<img src=x onerror")
    Browser.run(browser, "document.querySelector('td.name a').click()")
    Browser.await(browser, "document.getElementById('objects') !== null")
    await_live(browser)
    assert Browser.text(browser, "#objects") =~ "<script>window.hacked = 1</script>"
    await_text(browser, "#live-events", "<img src=x")
    assert Browser.run(browser, "return document.images.length") == "0"
    assert Browser.run(browser, "return document.scripts.length") == "1"
    assert Browser.run(browser, "return window.hacked") == "undefined"
  end

  test "the keyboard goes everywhere, and live parts leave it where it is", %{
    browser: browser,
    url: url
  } do
    name = Counter.name("keys")
    table = Table.new(name, [:public, :ordered_set])
    Table.insert(table, for(n <- 1..50, do: {n}))
    open(browser, url)
    await_text(browser, "#live-tables", inspect(name))
    id = link_id(browser, inspect(name))
    tab_to(browser, "sort-name")
    tab_to(browser, id)
    Table.insert(table, {51})
    await_text(browser, "#live-tables", "51")
    assert Browser.run(browser, "return document.activeElement.id") == id

    assert Browser.run(browser, "return document.activeElement.matches(':focus-visible')") ==
             "true"

    Browser.press(browser, ["\uE007"])
    Browser.await(browser, "document.querySelector('#objects a[rel=next]') !== null")
    Browser.run(browser, "document.querySelector('#objects a[rel=next]').focus()")
    Browser.press(browser, ["\uE007"])
    await_text(browser, "#objects", "{21}")
    Browser.run(browser, "history.back()")
    await_text(browser, "#objects", "{20}")
  end

  test "it is light or dark, and fits into a narrow window", %{browser: browser, url: url} do
    Table.new(:a_table_with_a_name_that_is_rather_long_for_a_narrow_window, [:public])
    open(browser, url)
    await_text(browser, "#live-tables", "rather_long")

    grounds =
      for theme <- [:light, :dark], width <- [360, 1280] do
        Browser.look(browser, theme, width, 800)
        assert Browser.run(browser, "return window.innerWidth") == "#{width}"

        assert Browser.run(
                 browser,
                 "return document.documentElement.scrollWidth <= window.innerWidth"
               ) ==
                 "true"

        Browser.run(browser, "return getComputedStyle(document.body).backgroundColor")
      end

    assert [light, light, dark, dark] = grounds
    assert light != dark
  end

  test "nothing comes from outside", %{browser: browser, url: url} do
    open(browser, url)

    names = "performance.getEntriesByType('resource').map((entry) => entry.name)"

    assert Browser.run(
             browser,
             "return #{names}.every((name) => name.startsWith(location.origin))"
           ) == "true"

    assert Browser.run(browser, "return #{names}.some((name) => name.endsWith('/style.css'))") ==
             "true"
  end
end
