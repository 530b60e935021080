defmodule ShoppingCartTest do
  use ExUnit.Case

  @names [:ann, :bob, :cid]
  @customers for n <- 1..20, do: "customer #{n}"

  setup do
    peers = Map.new(@names, &{&1, start_node(&1)})
    for name <- @names, do: call(peers[name], ShoppingCart.Cluster, :join, [nodes()])
    call(peers.ann, ShoppingCart.Cluster, :create, [nodes()])
    %{peers: peers}
  end

  test "a customer finds the same cart on every node", %{peers: peers} do
    assert call(peers.ann, ShoppingCart, :add, ["Ada", :apple, 2]) == 2
    assert call(peers.bob, ShoppingCart, :add, ["Ada", :apple, 1]) == 3
    assert call(peers.cid, ShoppingCart, :add, ["Ada", :pear, 1]) == 1
    assert call(peers.ann, ShoppingCart, :add, ["Grace", :apple, 1]) == 1
    for name <- @names, do: await(peers[name], "Ada", apple: 3, pear: 1)

    assert call(peers.bob, ShoppingCart, :check_out, ["Ada"]) == [apple: 3, pear: 1]
    assert call(peers.cid, ShoppingCart, :check_out, ["Ada"]) == []
    for name <- @names, do: await(peers[name], "Grace", apple: 1)
  end

  test "no cart is lost with a node", %{peers: peers} do
    before = shop(Map.values(peers), 1)
    served = Task.async(fn -> shop([peers.ann, peers.bob], 2) end)
    kill(peers.cid)
    peers = %{peers | cid: start_node(:cid)}
    call(peers.cid, ShoppingCart.Cluster, :join, [nodes()])
    meanwhile = Task.await(served, :infinity)
    later = shop(Map.values(peers), 3)

    for customer <- @customers do
      bought = for bought <- [before, meanwhile, later], item <- bought[customer], do: item
      for name <- @names, do: await(peers[name], customer, Enum.sort(bought))
    end
  end

  # All customers buy at once, each for itself and wherever it comes to. Answers what was acknowledged.
  defp shop(peers, time) do
    @customers
    |> Task.async_stream(
      fn customer ->
        items = for n <- 1..10, do: {{:product, time, n}, n}

        for {product, quantity} <- items,
            do:
              ^quantity =
                call(Enum.random(peers), ShoppingCart, :add, [customer, product, quantity])

        {customer, items}
      end,
      max_concurrency: 8,
      timeout: :infinity
    )
    |> Map.new(fn {:ok, bought} -> bought end)
  end

  # The others hear of what one has done a moment later.
  defp await(peer, customer, items) do
    unless call(peer, ShoppingCart, :items, [customer]) == items do
      Process.sleep(10)
      await(peer, customer, items)
    end
  end

  ## Nodes, of which the test is none

  defp start_node(name) do
    own = for path <- :code.get_path(), not List.starts_with?(path, :code.root_dir()), do: path

    {:ok, peer, _node} =
      :peer.start_link(%{
        name: :"#{name}-#{System.pid()}",
        host: ~c"127.0.0.1",
        longnames: true,
        connection: :standard_io,
        args: Enum.flat_map(own, &[~c"-pa", &1]) ++ [~c"-setcookie", ~c"shop"]
      })

    {:ok, _} = call(peer, Application, :ensure_all_started, [:shopping_cart])
    peer
  end

  defp nodes, do: for(name <- @names, do: :"#{name}-#{System.pid()}@127.0.0.1")

  defp kill(peer) do
    monitor = Process.monitor(peer)
    System.cmd("kill", ["-9", to_string(call(peer, :os, :getpid, []))])
    assert_receive {:DOWN, ^monitor, :process, ^peer, _reason}, 30_000
  end

  defp call(peer, module, function, arguments),
    do: :peer.call(peer, module, function, arguments, 60_000)
end
