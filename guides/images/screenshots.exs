# Takes the pictures of the guide "Watching tables": bin/screenshots. A small shop runs for a while, and its
# owners are killed now and then.

alias Blanket.{Inspector, Table}
alias Blanket.Inspector.Web
alias Blanket.Test.Browser

defmodule Shop.Sessions do
  use Blanket, table: {:sessions, [:named_table, :public]}
end

defmodule Shop.Prices do
  use Blanket, table: {:prices, [:ordered_set, :named_table, :public]}
end

defmodule Shop.Carts do
  use Blanket, table: {:carts, [:bag, :named_table, :public]}
end

defmodule Shop.Tokens do
  use Blanket, table: {:tokens, [:private]}
end

defmodule Shop do
  @fruits ~w(apple banana cherry fig grape kiwi lemon mango melon papaya pear plum)

  def open do
    children = [Shop.Sessions, Shop.Prices, Shop.Carts, Shop.Tokens]
    {:ok, _} = Supervisor.start_link(children, strategy: :one_for_one, max_restarts: 1_000_000)

    {:ok, _} =
      Blanket.new(
        Blanket,
        :invoice_writer,
        {:invoices, []},
        &(Table.insert(&1, {2026, 118}) && :ok)
      )

    Table.new(:rate_limits, [:public, {:heir, :immortal}])

    for fruit <- @fruits,
        day <- 1..365,
        do: Table.insert(:prices, {{fruit, day}, 90 + rem(day * 37, 60)})

    spawn_link(fn -> serve(1) end)
  end

  defp serve(n) do
    for visitor <- n..(n + 30) do
      session = %{
        user: "user-#{rem(visitor * 7919, 9973)}",
        since: DateTime.truncate(DateTime.utc_now(), :second),
        pages: rem(visitor, 9)
      }

      Table.insert(:sessions, {visitor, session})

      if rem(visitor, 3) == 0,
        do: Table.insert(:carts, {visitor, Enum.random(@fruits), 1 + rem(visitor, 4)})
    end

    old = n - 3000 - round(2000 * :math.sin(n / 900))
    Table.select_delete(:sessions, [{{:"$1", :_}, [{:<, :"$1", old}], [true]}])
    Process.sleep(100)
    serve(n + 31)
  end

  def accident(owner) do
    with pid when is_pid(pid) <- Process.whereis(owner), do: Process.exit(pid, :kill)
    Process.sleep(11_000)
  end
end

images = __DIR__
{:ok, web} = Inspector.start_web(port: 0)
Shop.open()
Process.sleep(25_000)
for owner <- [Shop.Prices, Shop.Sessions, Shop.Carts, Shop.Sessions], do: Shop.accident(owner)

browser = Browser.start()
save = fn name -> File.write!(Path.join(images, name), Browser.screenshot(browser)) end

open = fn url ->
  Browser.open(browser, url)
  Browser.await(browser, ~s|document.getElementById("pulse").className === "pulse on"|)
end

open.(Web.url(web))
Browser.look(browser, :light, 1280, 1180)
save.("page-light.png")
Browser.look(browser, :dark, 1280, 1180)
save.("page-dark.png")

find =
  "[...document.querySelectorAll('td.name a')].find((link) => link.textContent === ':sessions').href"

open.(Browser.run(browser, "return #{find}"))
Browser.look(browser, :light, 1280, 1180)
save.("table.png")
Browser.look(browser, :dark, 390, 1180)
save.("table-narrow.png")

# What mix blanket.top writes to a terminal, in a window like one.
command = "mix blanket.top --node #{node()}"
terminal = "stty cols 120 rows 20; #{command} --count 1"
{output, 0} = System.cmd("script", ["-qec", terminal, "/dev/null"])
text = "$ #{command}\n\n" <> String.replace(output, ~r/\e\[\d*[A-Z]|\r/, "")
escaped = text |> String.replace("&", "&amp;") |> String.replace("<", "&lt;")

page = """
<meta charset="utf-8"><body style="margin:0;background:#101418"><pre style="margin:0;padding:18px;
color:#d6dde4;font:13px/1.45 'DejaVu Sans Mono',monospace">#{escaped}</pre>
"""

Browser.open(browser, "data:text/html;base64," <> Base.encode64(page))
Browser.look(browser, :dark, 1010, 290)
save.("top.png")
Browser.stop(browser)
