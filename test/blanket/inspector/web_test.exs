defmodule Blanket.Inspector.WebTest do
  # Over HTTP, and without a client that would be kinder than others are. Alone: the page shows the largest
  # tables and the latest events, of which others have thousands.
  use ExUnit.Case, async: false

  alias Blanket.{Inspector, Table}
  alias Blanket.Inspector.Web
  alias Blanket.Inspector.Web.HTML
  alias Blanket.Test.Counter

  doctest Web
  doctest HTML

  @moduletag :capture_log

  setup do
    web = start_supervised!({Web, port: 0})
    {:ok, web: web, port: URI.parse(Web.url(web)).port}
  end

  # A request as it is written, up to the end of its headers.
  defp send_request(port, head) do
    {:ok, socket} = :gen_tcp.connect(~c"127.0.0.1", port, [:binary, active: false])
    :ok = :gen_tcp.send(socket, [head, "Connection: close\r\n\r\n"])
    {:ok, answer} = read(socket, "")
    [head, body] = String.split(answer, "\r\n\r\n", parts: 2)

    [<<"HTTP/1.", _, " ", code::binary-size(3), " ", _::binary>> | headers] =
      String.split(head, "\r\n")

    headers =
      Map.new(headers, fn line ->
        [name, value] = String.split(line, ":", parts: 2)
        {String.downcase(name), String.trim(value)}
      end)

    {String.to_integer(code), headers, body}
  end

  defp read(socket, answer) do
    case :gen_tcp.recv(socket, 0, 30_000) do
      {:ok, more} -> read(socket, answer <> more)
      {:error, :closed} -> {:ok, answer}
      error -> error
    end
  end

  defp get(port, path, headers \\ "") do
    send_request(port, "GET #{path} HTTP/1.1\r\nHost: 127.0.0.1:#{port}\r\n#{headers}")
  end

  defp body(port, path, headers \\ "") do
    assert {200, _headers, body} = get(port, path, headers)
    body
  end

  # What the list shows may be a moment old.
  defp find(port, path, pattern) do
    with nil <- Regex.run(pattern, body(port, path)), do: find(port, path, pattern)
  end

  # The page of a table, as the list links to it.
  defp table_path(port, name) do
    name = Regex.escape(escape(inspect(name)))
    [_, path] = find(port, "/?sort=size", ~r/href="(\/table\/[\d.]+)"[^>]*>#{name}</)
    path
  end

  defp escape(text), do: text |> HTML.to_iodata() |> IO.iodata_to_binary()

  # Many objects, so that it is on the list however many tables others have.
  defp large(name, options, objects \\ []) do
    table = Table.new(name, options)
    Table.insert(table, objects ++ for(n <- 1..20_000, do: {{:filling, n}, n}))
    table
  end

  describe "the list" do
    test "shows a table with what is known of it", %{port: port} do
      name = Counter.name("web")
      {:ok, heir} = Blanket.new(Blanket, self(), {name, [:ordered_set, :public]})
      {:ok, table} = Blanket.receive_table(name)
      Table.insert(table, for(n <- 1..23_456, do: {n}))
      pid = escape(inspect(heir))

      pattern =
        ~r/<tr>(?:(?!<tr>).)*#{inspect(name)}(?:(?!<tr>).)*23,456(?:(?!<tr>).)*#{pid}.*?<\/tr>/s

      [row] = find(port, "/?sort=size", pattern)

      for text <- [
            "ordered_set",
            "public",
            "23,456",
            "owned",
            "#PID<",
            inspect(self()),
            inspect(heir)
          ],
          do: assert(row =~ escape(text))

      assert row =~ "<svg "
      assert row =~ ~r/data-label="Hand-overs">1</
    end

    test "is sorted as asked for, and by memory otherwise", %{port: port} do
      large(:sorted, [])
      find(port, "/", ~r/:sorted/)
      assert body(port, "/") =~ ~r/aria-sort="descending"><a href="\/\?sort=memory"/
      assert body(port, "/?sort=name") =~ ~r/aria-sort="ascending"><a href="\/\?sort=name"/
      assert body(port, "/?sort=%00&&sort") =~ "sort=memory"
    end

    test "shows what happened to kept tables", %{port: port} do
      name = Counter.name("web")
      {:ok, pid} = Counter.start_link(Counter.settings(owner: name, table: {name, []}))
      assert_receive {:received, ^name, ^pid, table}
      Counter.kill(pid)

      Blanket.Test.Eventually.eventually(fn ->
        body(port, "/") =~ "#{inspect(pid)} exited" |> escape()
      end)

      assert body(port, "/") =~ ~r/badge orphaned">orphan</
      {:ok, ^table} = Table.claim(table)
    end

    test "has the sizes of the last minutes", %{web: web} do
      {_, history, _, _} =
        web |> Supervisor.which_children() |> List.keyfind(Inspector.History, 0)

      name = Counter.name("web")
      table = large(name, [])
      for _ <- 1..3, do: send(history, :sample)
      assert [_, _, _ | _] = points = Inspector.History.series(history, [table])[table]

      assert Enum.all?(points, fn {age, size, bytes} -> age >= 0 and size >= 0 and bytes > 0 end)
      assert {_age, 20_000, _bytes} = List.last(points)

      assert Enum.sort_by(points, &elem(&1, 0), :desc) == points
      assert Inspector.History.total(history) |> Enum.all?(&match?({_, _, _}, &1))
      Table.delete(table)
      refute table in Enum.map(wait_for_fresh(history, table), & &1.table)
    end

    defp wait_for_fresh(history, table) do
      tables = Inspector.History.tables(history)
      if table in Enum.map(tables, & &1.table), do: wait_for_fresh(history, table), else: tables
    end
  end

  describe "a table" do
    test "has a page with its objects, page by page", %{port: port} do
      name = Counter.name("web")
      table = large(name, [:ordered_set, :protected])
      path = table_path(port, name)
      keys = read_pages(port, path, 3)
      assert keys == for(n <- 1..60, do: inspect({:filling, n}))
      Table.delete(table)
      assert {404, _, page} = get(port, path)
      assert page =~ "no such table"
    end

    # The keys on the pages, from link to link.
    defp read_pages(_port, _path, 0), do: []

    defp read_pages(port, path, pages) do
      page = body(port, path)
      keys = for [_, key] <- Regex.scan(~r/data-label="Key"><pre>([^<]*)</, page), do: key
      assert [_, next] = Regex.run(~r/href="([^"#]*)#objects" rel="next"/, page)
      keys ++ read_pages(port, next, pages - 1)
    end

    test "ends with its last page", %{port: port} do
      table = large(Counter.name("web"), [:bag], for(n <- 1..30, do: {:same, n}))
      path = table_path(port, Table.info(table, :name))
      Table.select_delete(table, [{{{:filling, :_}, :_}, [], [true]}])
      first = body(port, path)
      assert length(Regex.scan(~r/data-label="Object"/, first)) == 20
      [_, next] = Regex.run(~r/href="([^"#]*)#objects" rel="next"/, first)
      second = body(port, next)
      assert length(Regex.scan(~r/data-label="Object"/, second)) == 10
      refute second =~ ~s(rel="next")
      assert second =~ "First page"
      # A page that was shown before is there again.
      assert body(port, next) =~ "{:same, 30}"
    end

    test "says what there is in place of objects", %{port: port} do
      name = Counter.name("web")
      table = large(name, [:public])
      path = table_path(port, name)

      for at <- ["0", "999999", "%F0%9F", "../..", "1&at=2"],
          do: assert(body(port, path <> "?at=" <> at) =~ "no longer known")

      Table.delete_all_objects(table)
      assert body(port, path) =~ "The table is empty"
    end

    test "keeps the objects of a private table to its owner", %{port: port, web: web} do
      name = Counter.name("web")
      table = large(name, [:private], [{:secret, "hidden treasure"}])
      page = body(port, table_path(port, name))
      assert page =~ "The table is private"
      refute page =~ "treasure"
      # Whatever the page believes, the reading process has no right.
      {_, objects, _, _} =
        web |> Supervisor.which_children() |> List.keyfind(Inspector.Objects, 0)

      assert Inspector.Objects.page(objects, table, 1, :first) == {:error, :no_access}
    end

    test "reads no objects for the script", %{port: port} do
      name = Counter.name("web")
      large(name, [])
      path = table_path(port, name)
      assert body(port, path) =~ ~s(id="objects")
      refute body(port, path, "X-Live: 1\r\n") =~ ~s(id="objects")
    end

    test "escapes all that comes from the program", %{port: port} do
      name = :"<script>alert(1)</script> \"'&"
      evil = "</pre><img src=x onerror='alert(2)'>"
      table = large(name, [:public], [{%{evil => evil}, 1}, {:"<b>", 2}])
      path = table_path(port, name)
      list = body(port, "/?sort=size")
      assert list =~ "&lt;script&gt;alert(1)&lt;/script&gt;"
      Table.select_delete(table, [{{{:filling, :_}, :_}, [], [true]}])
      page = body(port, path)
      assert page =~ "&lt;/pre&gt;&lt;img src=x onerror=&#39;alert(2)&#39;&gt;"

      for text <- [list, page] do
        refute text =~ "<script>"
        refute text =~ "<img"
        refute text =~ "<b>"
      end
    end

    test "cuts what is large, and gives up what is too large", %{port: port} do
      name = Counter.name("web")

      table =
        large(name, [:ordered_set], [
          {1, String.duplicate("long ", 100_000)},
          {2, Enum.to_list(1..100_000)},
          {3, List.duplicate(List.duplicate(List.duplicate("deep", 50), 50), 50)},
          {4, :binary.copy(<<255>>, 100_000)}
        ])

      page = body(port, table_path(port, name))
      assert page =~ "..."
      assert byte_size(page) < 100_000

      Table.insert(table, {5, List.duplicate(:x, 10_000_000)})
      # Which bound it meets first depends on the machine.
      assert body(port, table_path(port, name)) =~
               ~r/too large to be shown|takes too long to show/
    end

    test "shows what cannot be inspected as it is", %{port: port} do
      name = Counter.name("web")
      large(name, [:ordered_set], [{1, %{__struct__: DateTime}}, {2, %{__struct__: :no_such}}])
      assert body(port, table_path(port, name)) =~ "no_such"
    end
  end

  describe "a request" do
    test "changes nothing by any method", %{port: port} do
      for method <- ~w(POST PUT DELETE PATCH TRACE) do
        head = "#{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
        assert {405, %{"allow" => "GET, HEAD"}, _} = send_request(port, head)
      end

      # Of others httpd itself refuses those that it does not know, which newer ones do.
      for method <- ~w(OPTIONS BREW) do
        {status, _, _} = send_request(port, "#{method} / HTTP/1.1\r\nHost: localhost\r\n")
        assert status in [405, 501]
      end

      assert {200, headers, ""} = send_request(port, "HEAD / HTTP/1.1\r\nHost: localhost\r\n")
      assert String.to_integer(headers["content-length"]) > 0
    end

    test "is answered to this host alone", %{port: port} do
      for host <- ["localhost", "127.0.0.1:#{port}", "localhost:5000", "[::1]:80"],
          do: assert({200, _, _} = send_request(port, "GET / HTTP/1.1\r\nHost: #{host}\r\n"))

      for host <- [
            "evil.example",
            "evil.example:#{port}",
            "127.0.0.1.evil.example",
            "localhost.",
            ""
          ] do
        assert {403, _, page} = send_request(port, "GET / HTTP/1.1\r\nHost: #{host}\r\n")
        refute page =~ "live-tables"
      end

      twice = "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n"
      assert {403, _, _} = send_request(port, twice)
      assert {403, _, _} = send_request(port, "GET / HTTP/1.0\r\n")
      assert {403, _, _} = send_request(port, "GET /style.css HTTP/1.1\r\nHost: evil.example\r\n")
    end

    test "is answered with headers that let in nothing from outside", %{port: port} do
      for path <- ["/", "/style.css", "/script.js", "/nothing"] do
        {_, headers, body} = get(port, path)
        assert headers["content-security-policy"] =~ "default-src 'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        refute headers["server"]
        refute body =~ ~r/(src|href)="(https?:)?\/\//
        refute body =~ " style="
      end
    end

    test "is answered without waiting for a receipt in between", %{port: port} do
      {:ok, socket} = :gen_tcp.connect(~c"127.0.0.1", port, [:binary, active: false])
      {:ok, client} = :inet.sockname(socket)
      :ok = :gen_tcp.send(socket, "GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
      assert {:ok, "HTTP/1.1 200" <> _} = :gen_tcp.recv(socket, 0, 30_000)

      assert [server] = for(port <- Port.list(), :inet.peername(port) == {:ok, client}, do: port)
      assert :inet.getopts(server, [:nodelay]) == {:ok, [nodelay: true]}
    end

    test "for what is not there is told so", %{port: port} do
      for path <- [
            "/nothing",
            "/table/",
            "/table/1.2.3",
            "/table/x",
            "/../../etc/passwd",
            "/table/%2e"
          ] do
        assert {404, _, _} = get(port, path)
      end

      for path <- ["/" <> String.duplicate("x", 5000), "/?<b>"],
          do: assert(elem(get(port, path), 0) in [400, 414])
    end
  end

  describe "the server" do
    test "listens on the loopback address alone", %{port: port} do
      {:ok, addresses} = :inet.getifaddrs()

      others =
        for {_, options} <- addresses,
            {:addr, {a, _, _, _} = address} <- options,
            a != 127,
            do: address

      for address <- others do
        assert {:error, :econnrefused} = :gen_tcp.connect(address, port, [])
      end

      # On the loopback itself, other addresses are other hosts.
      assert {:error, :econnrefused} = :gen_tcp.connect({127, 0, 0, 2}, port, [])
    end

    test "is started and stopped, and its port is free again", %{port: port} do
      assert Inspector.start_web(port: port) == {:error, :eaddrinuse}
      stop_supervised!(Web)
      assert {:ok, web} = Inspector.start_web(port: port)
      assert Web.url(web) == "http://127.0.0.1:#{port}"
      assert {200, _, _} = get(port, "/")
      assert Inspector.stop_web(web) == :ok
      assert Inspector.stop_web(web) == {:error, :not_found}
      assert {:error, :econnrefused} = :gen_tcp.connect(~c"127.0.0.1", port, [])
    end

    test "comes back when httpd is killed", %{web: web, port: port} do
      {_, server, _, _} = web |> Supervisor.which_children() |> List.keyfind(Web.Server, 0)
      %{httpd: httpd} = :sys.get_state(server)
      Counter.stop(httpd, :kill)
      Blanket.Test.Eventually.eventually(fn -> listens?(web) end)
      assert {200, _, _} = get(URI.parse(Web.url(web)).port, "/")
      assert is_integer(port)
    end

    defp listens?(web) do
      {:ok, socket} = :gen_tcp.connect(~c"127.0.0.1", URI.parse(Web.url(web)).port, [])
      :gen_tcp.close(socket) == :ok
    catch
      _, _ -> false
    end

    test "needs inets and the application, and says so" do
      program = """
      :code.del_path(:inets)
      before = Blanket.Inspector.start_web()
      {:ok, _} = Application.ensure_all_started(:blanket)
      IO.inspect([before, Blanket.Inspector.start_web(), Blanket.Inspector.stop_web(self())], width: 200)
      """

      ebin = Application.app_dir(:blanket, "ebin")
      root = Blanket.Fixture.root()
      {output, 0} = Blanket.Fixture.run(root, "elixir", ["-pa", ebin, "-e", program])

      assert output =~
               "[error: {:not_started, :blanket}, error: {:not_available, :inets}, error: :not_found]"
    end

    test "refuses what is no port, and unknown options" do
      assert_raise ArgumentError, ~r/the port 70000 is no number/, fn ->
        Web.start_link(port: 70_000)
      end

      assert_raise ArgumentError, ~r/unknown keys/, fn -> Web.start_link(prot: 1) end
    end
  end
end
